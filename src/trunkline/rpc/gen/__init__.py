"""Message classes made from ``protos/`` by ``scripts/generate-protos``; do not edit."""

#: The version of grpcio-tools that made this code; another one may lay it out differently.
GRPCIO_TOOLS = "1.85.1"
