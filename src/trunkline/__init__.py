"""Trunkline: versioned data and incremental pipelines behind the Pachyderm 2.12 API.

``docs/design/architecture.md`` lists the layers. This module holds only the version, so that importing it costs
nothing.
"""

__version__ = "0.1.0"
