"""The gRPC door: wire messages, conversion, status codes and servicers; nothing else knows the wire."""
