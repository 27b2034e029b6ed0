"""Connections to what clients name by URLs: HTTP, object stores, files and databases, behind ``ports.Outbound``."""
