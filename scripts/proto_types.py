"""Types for the console, made from the descriptors of ``protos/`` (used by ``generate-protos``).

The JSON of a message as this server writes it: a field without a value has its zero value, an absent message is null,
and an optional field or a member of a oneof that is not set is left out. 64-bit integers are strings. Requests may
leave out any field.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto

#: Packages whose services the console calls.
PACKAGES = (
    "pfs_v2",
    "pps_v2",
    "metadata",
    "admin_v2",
    "versionpb_v2",
    "trunkline.console.v1",
    "trunkline.control.v1",
    "trunkline.explain.v1",
    "trunkline.machines.v1",
)
INT64 = (Field.TYPE_INT64, Field.TYPE_UINT64, Field.TYPE_FIXED64, Field.TYPE_SFIXED64, Field.TYPE_SINT64)
STRINGS = (Field.TYPE_STRING, Field.TYPE_BYTES)
HEAD = """\
// JSON of messages, made from protos/ by scripts/generate-protos; do not edit.

/** A 64-bit integer; lib/numbers.ts reads it. */
export type Int64 = string;
/** RFC 3339; lib/time.ts reads it. */
export type Timestamp = string;
/** Seconds, such as "1.5s"; lib/time.ts reads it. */
export type Duration = string;
/** Bytes in base64. */
export type Base64 = string;
"""
WELL_KNOWN = {
    "Timestamp": "Timestamp",
    "Duration": "Duration",
    "Empty": "Record<string, never>",
    "Any": "{ '@type': string; [field: string]: unknown }",
    "Struct": "Record<string, unknown>",
    "Value": "unknown",
    "ListValue": "unknown[]",
    "StringValue": "string",
    "BytesValue": "Base64",
    "BoolValue": "boolean",
    "Int64Value": "Int64",
    "UInt64Value": "Int64",
    "Int32Value": "number",
    "UInt32Value": "number",
    "DoubleValue": "number",
    "FloatValue": "number",
    "FieldMask": "string",
    "FileDescriptorProto": "unknown",
}


def types(files: Iterable[FileDescriptorProto], comments: Mapping[str, str]) -> str:
    """Return a TypeScript module with a namespace for each package and the table of methods."""
    packages = defaultdict(list)
    for file in files:
        packages[file.package].append(file)
    reached = _reached(packages)
    parts = [HEAD]
    for package, of_package in sorted(packages.items()):
        body = [line for file in of_package for line in _file(file, comments, reached)]
        if body:
            parts.append(f"export namespace {_namespace(package)} {{\n" + "\n".join(body) + "\n}\n")
    parts.append(_methods(packages))
    return "\n".join(parts)


def _reached(packages: Mapping[str, list[FileDescriptorProto]]) -> set[str]:
    """Return the full names of the messages and enums that the methods of the named packages lead to."""
    messages: dict[str, DescriptorProto] = {}
    for package, files in packages.items():
        for file in files:
            messages |= {f".{package}.{name}": message for name, message in _nested(file.message_type, "")}
    reached: set[str] = set()
    waiting = [
        name
        for package in PACKAGES
        for file in packages[package]
        for service in file.service
        for method in service.method
        for name in (method.input_type, method.output_type)
    ]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += (
                [field.type_name for field in messages[name].field if field.type_name]
                if name in messages
                else []
            )
    return reached


def _nested(messages: Iterable[DescriptorProto], prefix: str) -> Iterator[tuple[str, DescriptorProto]]:
    for message in messages:
        yield f"{prefix}{message.name}", message
        yield from _nested(message.nested_type, f"{prefix}{message.name}.")


def _file(file: FileDescriptorProto, comments: Mapping[str, str], reached: set[str]) -> Iterator[str]:
    for enum in file.enum_type:
        yield from _enum(enum, file.package, "", reached)
    for name, message in _nested(file.message_type, ""):
        if f".{file.package}.{name}" in reached and not message.options.map_entry:
            yield from _message(message, file, name, comments)
        for enum in message.enum_type:
            yield from _enum(enum, file.package, f"{name}.", reached)


def _enum(enum: EnumDescriptorProto, package: str, prefix: str, reached: set[str]) -> Iterator[str]:
    if f".{package}.{prefix}{enum.name}" in reached:
        values = " | ".join(f'"{value.name}"' for value in enum.value)
        yield f"  export type {_flat(prefix + enum.name)} = {values};"


def _message(
    message: DescriptorProto, file: FileDescriptorProto, name: str, comments: Mapping[str, str]
) -> Iterator[str]:
    entries = {f".{file.package}.{name}.{nested.name}": nested for nested in message.nested_type}
    own = file.package.startswith("trunkline")
    if own and (text := comments.get(f"{file.package}.{name}")):
        yield f"  /** {text} */"
    yield f"  export interface {_flat(name)} {{"
    for field in message.field:
        if own and (text := comments.get(f"{file.package}.{name}.{field.name}")):
            yield f"    /** {text} */"
        yield f"    {_key(field.json_name)}{_type(field, entries)};"
    yield "  }"


def _type(field: Field, entries: Mapping[str, DescriptorProto]) -> str:
    """Return the type of a field with what stands between its name and that."""
    entry = entries.get(field.type_name)
    if entry is not None and entry.options.map_entry:
        return f": Record<string, {_value(entry.field[1])}>"
    value = _value(field)
    if field.label == Field.LABEL_REPEATED:
        return f": ({value})[]" if " " in value else f": {value}[]"
    if field.HasField("oneof_index"):
        return f"?: {value}"
    return f": {value} | null" if field.type == Field.TYPE_MESSAGE else f": {value}"


def _value(field: Field) -> str:
    if field.type in INT64:
        return "Int64"
    if field.type == Field.TYPE_BYTES:
        return "Base64"
    if field.type == Field.TYPE_STRING:
        return "string"
    if field.type == Field.TYPE_BOOL:
        return "boolean"
    if field.type not in (Field.TYPE_MESSAGE, Field.TYPE_ENUM):
        return "number"
    return _named(field.type_name)


def _named(full_name: str) -> str:
    name = full_name.lstrip(".")
    if name.startswith("google.protobuf."):
        return WELL_KNOWN[name.rpartition(".")[2]]
    parts = name.split(".")
    first = next(place for place, part in enumerate(parts) if part[0].isupper())
    return f"{_namespace('.'.join(parts[:first]))}.{_flat('.'.join(parts[first:]))}"


def _namespace(package: str) -> str:
    """Return a short name: pfs of pfs_v2, console of trunkline.console.v1."""
    return package.removeprefix("trunkline.").removesuffix(".v1").removesuffix("_v2").replace(".", "_")


def _flat(name: str) -> str:
    return name.replace(".", "_")


def _key(name: str) -> str:
    return name if name.isidentifier() else f'"{name}"'


def _methods(packages: Mapping[str, list[FileDescriptorProto]]) -> str:
    lines = [
        "/** Every method that the console may call: its request, its answer, and whether it streams answers. */"
    ]
    lines.append("export interface Methods {")
    for package in PACKAGES:
        for file in packages[package]:
            for service in file.service:
                for method in service.method:
                    stream = str(method.server_streaming).lower()
                    request, answer = _named(method.input_type), _named(method.output_type)
                    path = f"{package}.{service.name}/{method.name}"
                    lines.append(f'  "{path}": {{ request: {request}; answer: {answer}; stream: {stream} }};')
    return "\n".join([*lines, "}", ""])
