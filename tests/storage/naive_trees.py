"""Trees of format 2 by the words of ``docs/design/format.md`` alone: slow, in memory, with nothing of ours."""

from __future__ import annotations

import struct
from zlib import crc32

from blake3 import blake3

Item = tuple[bytes, bytes]
Sums = list[int]


class NaiveTrees:
    """Computes ids of file trees whose rows' content is their whole value and whose size is its length."""

    def __init__(self, leaf: int, fan_out: int, own: int) -> None:
        self.leaf, self.fan_out, self.own = leaf, fan_out, own

    def tree_id(self, table: dict[bytes, bytes]) -> bytes:
        items = self._items(b"/", [(key[1:], value) for key, value in sorted(table.items())])
        return self._sequence(b"/", items)[0] if items else self._store(1, 0, [], [], [])

    def _items(self, folder: bytes, rows: list[Item]) -> list[Item]:
        """The items of a folder's sequence: rows right in it, and what stands for its sub-folders."""
        items: list[Item] = []
        below: dict[bytes, list[Item]] = {}
        for key, value in rows:
            path = key.split(b"\0")[0]
            if b"/" not in path:
                items.append((key, value))
                continue
            name = path[: path.index(b"/") + 1]
            below.setdefault(name, []).append((key[len(name) :], value))
        for name, its_rows in below.items():
            inner = self._items(folder + name, its_rows)
            weight = sum(len(key) + len(value) for key, value in inner)
            if weight >= self.own:
                address, sums = self._sequence(folder + name, inner)
                items.append((name, address + struct.pack("<7Q", *sums, weight)))
            else:
                items += [(name + key, value) for key, value in inner]
        return sorted(items)

    def _sequence(self, folder: bytes, items: list[Item]) -> tuple[bytes, Sums]:
        nodes = []
        for part in self._cut(items, 0):
            keys, values = [key for key, _ in part], [value for _, value in part]
            nodes.append((keys[-1], self._store(1, 0, keys, values, []), self._sum(folder, part)))
        level = 1
        while len(nodes) > 1:
            above = []
            for part in self._cut(nodes, level):
                keys = [node[0] for node in part]
                sums = [sum(column) % 2**64 for column in zip(*[node[2] for node in part], strict=True)]
                columns = [node[2] for node in part]
                address = self._store(1, level, keys, [node[1] for node in part], columns)
                above.append((keys[-1], address, sums))
            nodes, level = above, level + 1
        return nodes[0][1], nodes[0][2]

    def _cut(self, items: list, level: int) -> list[list]:
        target = self.fan_out if level else self.leaf
        parts: list[list] = []
        part: list = []
        weight = 0
        for item in items:
            key = item[0]
            before = weight
            weight += 1 + len(key) // 64 if level else len(key) + len(item[1])
            part.append(item)
            x = crc32(key) * (0x9E3779B97F4A7C15 + 0xA24BAED4963EE406 * level) % 2**64
            x ^= x >> 29
            h = (x * 0x9E3779B97F4A7C15 % 2**64) >> 32
            ends = weight >= target / 2 and h * target**4 < (weight**4 - before**4) * 2**32
            if ends and (level == 0 or len(part) >= 4):
                parts.append(part)
                part, weight = [], 0
        return [*parts, part] if part else parts

    def _sum(self, folder: bytes, part: list[Item]) -> Sums:
        sums = [0] * 6
        for key, value in part:
            if key.endswith(b"/") and b"\0" not in key:
                more = list(struct.unpack("<6Q", value[32:80]))
            else:
                full = folder + key
                digest = blake3(struct.pack("<I", len(full)) + full + value).digest()
                more = [1, len(value), *struct.unpack("<4Q", digest)]
            sums = [(a + b) % 2**64 for a, b in zip(sums, more, strict=True)]
        return sums

    def _store(self, kind: int, level: int, keys: list[bytes], values: list[bytes], columns: list) -> bytes:
        prefix = keys[0] if keys else b""
        while not all(key.startswith(prefix) for key in keys):
            prefix = prefix[:-1]
        rest = [key[len(prefix) :] for key in keys]
        equal_keys = len({len(key) for key in keys}) == 1
        equal_values = not level and len({len(value) for value in values}) == 1
        data = b"TN" + bytes([2, kind, level, equal_keys + 2 * equal_values])
        data += struct.pack("<HI", len(prefix), len(keys)) + prefix
        data += b"".join(struct.pack("<H", len(key)) for key in (rest[:1] if equal_keys else rest))
        if not level:
            data += b"".join(struct.pack("<I", len(v)) for v in (values[:1] if equal_values else values))
        data += b"".join(rest) + b"".join(values)
        for column in zip(*columns, strict=True):
            data += struct.pack(f"<{len(column)}Q", *column)
        return blake3(data).digest()
