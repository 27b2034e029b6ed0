"""Parses Kubernetes quantities of memory, disk and CPUs: ``4Gi``, ``512M``, ``500m``, ``1e3``.

Bytes are rounded up to whole bytes, as in Kubernetes.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil

from trunkline.errors import InvalidArgument

_QUANTITY = re.compile(
    r"([+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30}))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?",
    re.ASCII,
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_LARGEST = 2**63 - 1


def parse_bytes(text: str, where: str) -> int:
    """Return a quantity in bytes.

    Args:
        text: a quantity such as ``4Gi``.
        where: the field it comes from, for the message.

    Raises:
        InvalidArgument: ``text`` is not a quantity, is negative or does not fit 63 bits.
    """
    return ceil(_parse(text, where, "4Gi, 512Mi or 2G"))


def parse_cpus(text: str, where: str) -> float:
    """Return a quantity in CPUs: ``500m`` is 0.5.

    Raises:
        InvalidArgument: ``text`` is not a quantity, is negative or does not fit 63 bits.
    """
    return float(_parse(text, where, "2, 0.5 or 500m"))


def _parse(text: str, where: str, examples: str) -> Fraction:
    parts = _QUANTITY.fullmatch(text)
    if parts is None:
        raise InvalidArgument(f'{where} "{text}" is not a quantity; write for example {examples}')
    number, suffix, exponent = parts.groups()
    amount = Fraction(number)
    if suffix in _BINARY:
        amount *= 2 ** _BINARY[suffix]
    else:
        amount *= Fraction(10) ** (_DECIMAL[suffix] if suffix else int(exponent or 0))
    if amount < 0:
        raise InvalidArgument(f'{where} "{text}" is negative; write for example {examples}')
    if amount > _LARGEST:
        raise InvalidArgument(f'{where} "{text}" is more than 2^63 - 1; write for example {examples}')
    return amount
