"""Drivers of ``ports.HttpServer``: servers that run the ASGI application of the API."""
