"""Message classes made from ``protos/`` by ``scripts/generate-protos``; do not edit."""

from trunkline.runtime.loading import postpone

# protobuf imports these for its implementation in Python, which is only used where there is no compiled one.
postpone(
    "google.protobuf.descriptor_database",
    "google.protobuf.internal.python_edition_defaults",
    "google.protobuf.internal.python_message",
    "google.protobuf.text_encoding",
)

#: The version of grpcio-tools that made this code; another one may lay it out differently.
GRPCIO_TOOLS = "1.85.1"
