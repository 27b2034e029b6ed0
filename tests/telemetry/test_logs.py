"""Log records as lines."""

from __future__ import annotations

import io
import json
import logging

import pytest

from trunkline.telemetry.logs import ACCESS, ROOT, LevelOverride, set_up


@pytest.fixture
def stream():
    loggers = [logging.getLogger(name) for name in ("", ROOT, ACCESS)]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield io.StringIO()
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def test_a_text_record_is_one_line_with_its_fields(stream):
    set_up("info", "text", access=False, stream=stream)

    logging.getLogger("trunkline.jobs").info(
        "job finished\nINFO forged",
        extra={"action": "job_finished", "reason": "exit code 3", "duration": 1.5},
    )

    [line] = stream.getvalue().splitlines()
    assert line.endswith(
        r'trunkline.jobs: job finished\nINFO forged  action=job_finished reason="exit code 3" duration=1.500'
    )


def test_a_json_record_holds_fields_and_traceback(stream):
    set_up("info", "json", access=False, stream=stream)

    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("trunkline.app").exception("failed", extra={"action": "x", "job": "j1"})

    record = json.loads(stream.getvalue())
    assert (record["level"], record["action"], record["job"]) == ("error", "x", "j1")
    assert "ValueError: broken" in record["traceback"]


@pytest.mark.parametrize(("access", "lines"), [(False, 0), (True, 1)])
def test_calls_are_logged_only_when_asked(stream, access, lines):
    set_up("info", "json", access=access, stream=stream)

    logging.getLogger(ACCESS).info("call", extra={"action": "call"})

    assert len(stream.getvalue().splitlines()) == lines


def test_a_level_that_was_set_twice_goes_back_to_the_first(stream):
    set_up("warning", "text", access=False, stream=stream)
    override = LevelOverride(ROOT)

    override.set(logging.DEBUG, 60)
    override.set(logging.ERROR, 60)
    during = logging.getLogger(ROOT).level
    override.reset()

    assert (during, logging.getLogger(ROOT).level) == (logging.ERROR, logging.WARNING)
