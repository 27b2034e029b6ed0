"""Sessions of chunk writers: a row while a write lasts, for whoever collects chunks."""

from __future__ import annotations

import pytest

from trunkline.errors import Aborted
from trunkline.meta import write_sessions
from trunkline.pfs.write_sessions import LINGER, WriteSessions


@pytest.fixture
def versions(core):
    return core.versions


def rows(versions):
    return {row.id: row.counter for row in versions.read(write_sessions.list_all)}


def test_a_writer_that_lasts_has_a_session_that_is_renewed(versions):
    sessions = WriteSessions(versions)
    writer = versions.chunks.writer()

    sessions.renew()
    young = rows(versions)
    sessions.renew()
    begun = rows(versions)
    sessions.renew()
    renewed = rows(versions)
    writer.abort()

    assert young == {}
    assert begun == {writer.session: 0}
    assert renewed == {writer.session: 1}


def test_a_short_write_costs_no_transaction(versions):
    sessions = WriteSessions(versions)
    versions.chunks.writer().abort()
    sessions.renew()
    writer = versions.chunks.writer()
    sessions.renew()
    writer.abort()
    sessions.renew()

    assert rows(versions) == {}


def test_a_session_outlives_its_writer_until_the_write_is_recorded(versions):
    sessions = WriteSessions(versions)
    writer = versions.chunks.writer()
    sessions.renew()
    sessions.renew()

    writer.abort()
    sessions.renew()
    lingering = rows(versions)
    versions.clock.passed += LINGER + 1
    sessions.renew()

    assert lingering.keys() == {writer.session}
    assert rows(versions) == {}


def test_a_writer_whose_session_was_ended_fails(versions):
    sessions = WriteSessions(versions)
    writer = versions.chunks.writer()
    sessions.renew()
    sessions.renew()
    versions.write(lambda write: write_sessions.end(write.conn, [writer.session]))

    sessions.renew()

    with pytest.raises(Aborted, match=writer.session):
        writer.seal()
    writer.abort()


def test_a_server_ends_the_sessions_of_the_one_before_it(versions):
    versions.write(lambda write: write_sessions.begin(write.conn, "a" * 32, 1.0))

    WriteSessions(versions).end_earlier()

    assert rows(versions) == {}
