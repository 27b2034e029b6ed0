"""The Huffman code of header strings (RFC 7541, section 5.2 and appendix B)."""

from __future__ import annotations

from functools import lru_cache

# Bits of the code of each byte, and of the end of a string as number 256. The code is canonical: codes of one length
# count up with the symbols, so that these lengths are all of appendix B.
_LENGTHS = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b08060606"
    "0505050606060606060607080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e06"
    "0f05060506050606060507070606060506070605050607070707070f0b0e0d1c14161414161616171617171717171817"
    "1818161718171717171516171617171816151416161717151716161815161717151516151716171714161616171616171"
    "a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b14181415161515171616191918181a171a"
    "1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a1e"
)
_END = 256


def _symbols() -> dict[int, int]:
    """Return the symbols by their codes, each code with a 1 before its first bit."""
    symbols: dict[int, int] = {}
    code = bits = 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(_LENGTHS)):
        code <<= length - bits
        bits = length
        symbols[1 << length | code] = symbol
        code += 1
    return symbols


_by_code: dict[int, int] = {}


@lru_cache(256)
def decode(data: bytes) -> str:
    """Return a string; the last ones are remembered, because a server sends the same again and again.

    Raises:
        ValueError: the code, its end or the characters are not valid.
    """
    if not _by_code:
        _by_code.update(_symbols())
    decoded = bytearray()
    code = 1
    for byte in data:
        for shift in range(7, -1, -1):
            code = code << 1 | (byte >> shift & 1)
            symbol = _by_code.get(code)
            if symbol is not None:
                if symbol == _END:
                    raise ValueError("the end of a string is within it")
                decoded.append(symbol)
                code = 1
    # A string ends with the first bits of the code of its end, which are ones, fewer than eight.
    padding = code.bit_length() - 1
    if padding > 7 or code != (2 << padding) - 1:
        raise ValueError("a string does not end with the padding that it must have")
    return decoded.decode()
