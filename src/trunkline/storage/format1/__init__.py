"""Reads trees of format 1 (``docs/design/format-1.md``), which the conversion to format 2 takes its rows from."""
