"""Byte formats that server, workers and clients share: cuts of files, packs, protobuf by hand. Cheap to import."""
