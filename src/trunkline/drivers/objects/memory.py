"""Objects in this process's memory: for tests and for trying things out. Gone when the process ends."""

from __future__ import annotations

from obstore.store import MemoryStore

from trunkline.drivers.objects.obstore_base import WrappedObjects


class MemoryObjects(WrappedObjects):
    """An ``ObjectStore`` that keeps nothing beyond the process."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), "memory")
