"""Follows what changes: ``--watch``, ``top`` and commands that wait."""
