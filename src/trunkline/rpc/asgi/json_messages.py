"""Converts messages to JSON and back, by the mapping of protobuf (``google.protobuf.json_format``)."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from trunkline import errors
from trunkline.model.limits import JSON_VALUES, check_count

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message


class _MessageField(NamedTuple):
    """A field that can hold messages."""

    name: str
    json_name: str
    is_map: bool
    is_repeated: bool
    in_oneof: bool


#: Messages whose JSON is not an object with their fields.
_WELL_KNOWN = "google.protobuf."
_SPACE = b" \t\r\n"
#: What json_format writes before an error for each field on the way to it.
_FIELD = re.compile(r"Failed to parse (\S+) field: ")


def to_message(rpc: str, text: bytes, descriptor: Descriptor) -> Message:
    """Return the message that a JSON text describes. Field names are those of JSON or of the .proto file.

    Args:
        rpc: name of the call, for messages.
        text: an object; nothing stands for the empty message.
        descriptor: of the message.

    Raises:
        InvalidArgument: it is not valid JSON, has an unknown field, a value that is not valid for its field or too many
            values.
    """
    message: Message = GetMessageClass(descriptor)()
    if not text:
        return message
    if len(text) > JSON_VALUES:
        # What is cheap to send takes long to read: 20 MiB of empty objects would take a minute.
        count = text.count(b",") + text.count(b"{") + text.count(b"[")
        check_count(count, JSON_VALUES, f"the JSON of a message to {rpc}", "send less at once")
    try:
        if text.lstrip(_SPACE)[:1] != b"{" and not descriptor.full_name.startswith(_WELL_KNOWN):
            raise ValueError("it is not an object")
        json_format.Parse(text.decode(), message)
    except (json_format.ParseError, ValueError, RecursionError) as error:
        raise errors.InvalidArgument(
            f"{rpc} got JSON that is not a {descriptor.full_name}: {_reason(error)}; read /openapi for its fields"
        ) from error
    return message


def _reason(error: Exception) -> str:
    """Return what is wrong, with the path of the field first where ``json_format`` names the fields one by one."""
    reason = str(error).partition("\n")[0].rstrip(". ")  # all fields of the message are on lines of their own
    path: list[str] = []
    while match := _FIELD.match(reason):
        path.append(match[1])
        reason = reason[match.end() :]
    return f"{'.'.join(path)}: {reason}" if path else reason


def to_json(message: Message) -> bytes:
    """Return a message as JSON in one line, without the fields that have no value."""
    return _text(json_format.MessageToDict(message))


def to_full_json(message: Message) -> bytes:
    """Return a message as JSON in one line with all fields, as grpc-gateway writes it.

    Fields without a value have their zero value; messages that are absent are null; members of a oneof are left out.
    """
    value = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    _add_absent(value, message)
    return _text(value)


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


@cache
def _message_fields(descriptor: Descriptor) -> tuple[_MessageField, ...]:
    """Return the fields that can hold messages."""
    if descriptor.full_name.startswith(_WELL_KNOWN):
        return ()
    fields = []
    for field in descriptor.fields:
        entry = field.message_type
        if entry is None:
            continue
        is_map = entry.GetOptions().map_entry
        if not is_map or entry.fields_by_name["value"].message_type is not None:
            in_oneof = field.containing_oneof is not None
            fields.append(_MessageField(field.name, field.json_name, is_map, field.is_repeated, in_oneof))
    return tuple(fields)


def _add_absent(value: Any, message: Message) -> None:
    """Add null for each message that a message and those in it do not have."""
    for field in _message_fields(message.DESCRIPTOR):
        if field.is_map:
            for key, part in getattr(message, field.name).items():
                _add_absent(value[field.json_name][_key(key)], part)
        elif field.is_repeated:
            for entry, part in zip(value[field.json_name], getattr(message, field.name), strict=True):
                _add_absent(entry, part)
        elif message.HasField(field.name):
            _add_absent(value[field.json_name], getattr(message, field.name))
        elif not field.in_oneof:
            value[field.json_name] = None


def _key(key: Any) -> str:
    """Return the key of a map as JSON has it."""
    return str(key).lower() if isinstance(key, bool) else str(key)
