"""Imports, which are most of the time that a server, a worker or a command needs to start."""

from __future__ import annotations

import contextlib
import gc
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """Import without garbage collections; what was imported is never looked at by later ones.

    Modules, classes and functions are made by the hundred thousand and stay to the end of the process. To look for
    garbage among them takes a tenth of the time that the imports take.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def postpone(*names: str) -> None:
    """Import modules only when something of them is used, for libraries that import what they do not need.

    Modules that are loaded already stay as they are.
    """
    for name in names:
        if name not in sys.modules:
            module = ModuleType(name)
            module.__getattr__ = _attribute_of(module)  # type: ignore[method-assign]
            sys.modules[name] = module


def _attribute_of(module: ModuleType) -> Callable[[str], Any]:
    """Return the function that yields attributes of the module that another one stands in for."""

    def attribute(name: str) -> Any:
        from importlib import import_module

        if sys.modules.get(module.__name__) is module:
            del sys.modules[module.__name__]
        return getattr(import_module(module.__name__), name)

    return attribute
