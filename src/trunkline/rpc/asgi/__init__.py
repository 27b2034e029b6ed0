"""The gRPC edge as an ASGI application, for any server that has HTTP/2 and trailers (docs/design/port.md)."""
