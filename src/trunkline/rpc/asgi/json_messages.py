"""Converts messages to JSON and back, by the mapping of protobuf (``google.protobuf.json_format``)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from trunkline import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

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
        InvalidArgument: it is not valid JSON, has an unknown field or a value that is not valid for its field.
    """
    message: Message = GetMessageClass(descriptor)()
    if not text:
        return message
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


def _add_absent(value: Any, message: Message) -> None:
    """Add null for each message that a message and those in it do not have."""
    descriptor = message.DESCRIPTOR
    if descriptor.full_name.startswith(_WELL_KNOWN):
        return
    for field in descriptor.fields:
        kind = field.message_type
        if kind is None:
            continue
        content = getattr(message, field.name)
        name = field.json_name
        if not field.is_repeated:
            if message.HasField(field.name):
                _add_absent(value[name], content)
            elif field.containing_oneof is None:
                value[name] = None
        elif not kind.GetOptions().map_entry:
            for entry, part in zip(value[name], content, strict=True):
                _add_absent(entry, part)
        elif kind.fields_by_name["value"].message_type is not None:
            _add_absent_in_map(value[name], content)


def _add_absent_in_map(value: dict[str, Any], content: Mapping[Any, Message]) -> None:
    for key, part in content.items():
        name = str(key).lower() if isinstance(key, bool) else str(key)
        _add_absent(value[name], part)
