"""Builds and checks the handbook's site (docs/design/handbook.md)."""
