"""Trunkline: versioned data and incremental pipelines behind the Pachyderm 2.12 API.

The layers, from the doors inwards, are listed in ``docs/design/architecture.md``; this module holds
nothing but the version so that importing it costs nothing.
"""

__version__ = "0.1.0"
