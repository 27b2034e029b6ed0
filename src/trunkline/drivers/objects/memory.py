"""Objects in this process's memory, for tests and trials. They are lost when the process ends."""

from __future__ import annotations

from obstore.store import MemoryStore

from trunkline.drivers.objects.obstore_base import WrappedObjects


class MemoryObjects(WrappedObjects):
    """An ``ObjectStore`` in memory."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), "memory")
