from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.worker.output_lines import MAX_LINE, MAX_LOG, OutputLines


def feed(chunks: list[bytes]) -> tuple[list[bytes], int]:
    lines: list[bytes] = []
    cutter = OutputLines(lambda _, line: lines.append(line))
    for chunk in chunks:
        cutter.feed(chunk)
    return lines, cutter.finish()


@given(st.lists(st.text("ab\n", max_size=20)))
def test_lines_do_not_depend_on_how_the_output_was_cut_into_chunks(chunks):
    text = "".join(chunks)

    lines, dropped = feed([chunk.encode() for chunk in chunks])

    assert [line.decode() for line in lines] == text.split("\n")[
        : None if not text.endswith("\n") and text else -1
    ]
    assert dropped == 0


@settings(deadline=None)  # joining and cutting up to 600 KiB takes what it takes
@given(st.lists(st.integers(0, 3 * MAX_LINE), min_size=1, max_size=3), st.integers(100, 2 * MAX_LINE))
def test_no_byte_of_long_lines_is_lost_and_no_line_is_too_long(lengths, chunk):
    text = b"\n".join(b"x" * length for length in lengths)

    lines, _ = feed([text[start : start + chunk] for start in range(0, len(text), chunk)])

    assert sum(map(len, lines)) == sum(lengths)
    assert max(map(len, lines), default=0) <= MAX_LINE


def test_what_is_logged_and_what_is_dropped_add_up():
    chunk = b"y" * 99 + b"\n"

    lines, dropped = feed([chunk * 1000] * 200)

    assert sum(len(line) + 1 for line in lines) + dropped == 200 * 1000 * 100
    assert MAX_LOG <= sum(len(line) + 1 for line in lines) < MAX_LOG + 100
