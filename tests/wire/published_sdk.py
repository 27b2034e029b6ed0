"""What the published SDK says of the wire, read from its dataclasses and stubs.

betterproto flattens nested names (``CommitInfo.Details`` is ``CommitInfoDetails``), escapes names that are
Python keywords with an underscore (``from_``), and turns timestamps, durations and wrappers into Python
values; this module undoes all three, so that what it returns can be compared with descriptors as it is.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import textwrap
import typing
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import betterproto

if TYPE_CHECKING:
    from types import ModuleType

# The SDK's module of each proto package. No RPC shows the packages cdr and taskapi; they are the folder
# names, and nothing on the wire carries them.
PACKAGES = {
    "admin_v2": "admin",
    "auth_v2": "auth",
    "cdr": "cdr",
    "debug_v2": "debug",
    "enterprise_v2": "enterprise",
    "identity_v2": "identity",
    "license_v2": "license",
    "logs": "logs",
    "metadata": "metadata",
    "pachyderm.worker": "worker",
    "pfs_v2": "pfs",
    "pjs": "pjs",
    "pps_v2": "pps",
    "snapshot": "snapshot",
    "storage": "storage",
    "taskapi": "taskapi",
    "transaction_v2": "transaction",
    "versionpb_v2": "version",
}

_WRAPPERS = {betterproto.TYPE_BYTES: "BytesValue", betterproto.TYPE_INT64: "Int64Value"}
_PYTHON_TYPES = {"datetime": "Timestamp", "timedelta": "Duration"}


@dataclass(frozen=True)
class Field:
    """One field as both sides can say it."""

    name: str
    number: int
    #: A scalar's name, a flattened ``package.Name`` or ``map<key, value>``.
    type: str
    repeated: bool
    oneof: str | None
    optional: bool


def module(package: str) -> ModuleType:
    return importlib.import_module(f"pachyderm_sdk.api.{PACKAGES[package]}")


@cache
def messages() -> dict[str, type[betterproto.Message]]:
    """Every message class by ``package.FlattenedName``."""
    return _classes(betterproto.Message)


@cache
def enums() -> dict[str, type[betterproto.Enum]]:
    """Every enum class by ``package.FlattenedName``."""
    return _classes(betterproto.Enum)


def fields(cls: type[betterproto.Message]) -> set[Field]:
    return {_field(cls, field) for field in dataclasses.fields(cls)}


def rpcs() -> dict[str, tuple[str, str, str]]:
    """Every RPC's path with its shape (``unary_stream``) and the flattened names of request and response."""
    names_by_rpc = {}
    for package in PACKAGES:
        for name, stub in vars(module(package)).items():
            if (
                inspect.isclass(stub)
                and name.endswith("Stub")
                and stub.__module__ == module(package).__name__
            ):
                names_by_rpc |= _rpcs_of(stub, vars(module(package)))
    return names_by_rpc


def _classes(base: type) -> dict[str, Any]:
    return {
        f"{package}.{name}": cls
        for package in PACKAGES
        for name, cls in vars(module(package)).items()
        if inspect.isclass(cls) and issubclass(cls, base) and cls.__module__ == module(package).__name__
    }


def _field(cls: type[betterproto.Message], field: dataclasses.Field[Any]) -> Field:
    meta = betterproto.FieldMetadata.get(field)
    if meta.map_types:
        key, value = meta.map_types
        of_value = _named(cls._cls_for(field, index=1)) if value in _NAMED else value
        kind, repeated = f"map<{key}, {of_value}>", False
    else:
        kind = meta.proto_type
        if meta.wraps:
            kind = f"google.protobuf.{_WRAPPERS[meta.wraps]}"
        elif kind in _NAMED:
            kind = _named(cls._cls_for(field))
        repeated = typing.get_origin(field.type) is list
    name = field.name.removesuffix("_")
    return Field(name, meta.number, kind, repeated, meta.group, bool(meta.optional))


_NAMED = {betterproto.TYPE_MESSAGE, betterproto.TYPE_ENUM}


def _named(cls: type) -> str:
    if cls.__name__ in _PYTHON_TYPES:
        return f"google.protobuf.{_PYTHON_TYPES[cls.__name__]}"
    for package, folder in PACKAGES.items():
        if cls.__module__ == f"pachyderm_sdk.api.{folder}":
            return f"{package}.{cls.__name__}"
    return f"google.protobuf.{cls.__name__}"


def _rpcs_of(stub: type, names: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Read the calls ``channel.unary_unary("/path", request_serializer=A.…, response_deserializer=B.…)``."""
    names_by_rpc = {}
    for call in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(stub.__init__)))):  # type: ignore[misc]
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.keywords):
            continue
        path = ast.literal_eval(call.args[0])
        request, response = (_named(_resolve(keyword.value, names)) for keyword in call.keywords)
        names_by_rpc[path] = (call.func.attr, request, response)
    return names_by_rpc


def _resolve(codec: ast.expr, names: dict[str, Any]) -> type:
    """Return the class ``A`` of the expression ``module.A.FromString``."""
    dotted = ast.unparse(codec).split(".")[:-1]
    value: Any = names[dotted[0]]
    for part in dotted[1:]:
        value = getattr(value, part)
    return value  # type: ignore[no-any-return]
