"""The client: a lean gRPC channel, and typed calls on top of it."""
