"""The gRPC API: messages, conversion, status codes and servicers; no other package uses the wire format."""
