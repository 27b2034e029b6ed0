"""Files to and from the server."""
