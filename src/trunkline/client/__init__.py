"""How Python programs talk to a Trunkline server: a lean gRPC channel and typed calls on top of it."""
