"""Logs through the published SDK: ``logs.API`` and GetLogs, from real workers."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from pachyderm_sdk.api import logs
from servers import Server, job_of, make_pipeline, make_repo, put, refusal, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pachyderm_sdk import Client

#: A line of a million characters among short ones, one of them JSON.
SCRIPT = """
echo "begin $(basename /pfs/texts/*)"
head -c 1000000 /dev/zero | tr '\\0' x
echo
echo '{"severity": "error", "message": "it broke", "count": 3}'
"""


class Ran:
    """A pipeline after its first job."""

    def __init__(self, server: Server) -> None:
        self.client = server.client()
        texts = make_repo(self.client, "texts")
        self.pipeline = make_pipeline(self.client, "speak", SCRIPT, "texts")
        self.job = put(self.client, texts, {"/a": b"1", "/b": b"2"})
        self.client.pps.inspect_job(job=job_of(self.pipeline, self.job), wait=True)
        self.query = logs.PipelineLogQuery(project="default", pipeline="speak")


@pytest.fixture(scope="module")
def ran(shared: Server) -> Ran:
    return Ran(shared)


def user(**query: object) -> logs.LogQuery:
    return logs.LogQuery(user=logs.UserLogQuery(**query))


def admin(**query: object) -> logs.LogQuery:
    return logs.LogQuery(admin=logs.AdminLogQuery(**query))


def lines(client: Client, query: logs.LogQuery, **criteria: object) -> list[logs.LogMessage]:
    answers = client.logs.get_logs(query=query, filter=logs.LogFilter(**criteria))
    return [answer.log for answer in answers]


def text(line: logs.LogMessage) -> str:
    return line.verbatim.line.decode().rstrip()


def test_each_kind_of_user_query_gives_its_lines(ran: Ran) -> None:
    datums = [info.datum.id for info in ran.client.pps.list_datum(job=job_of(ran.pipeline, ran.job))]
    queries = {
        "project": user(project="default"),
        "pipeline": user(pipeline=ran.query),
        "job": user(job=ran.job),
        "pipeline job": user(pipeline_job=logs.PipelineJobLogQuery(pipeline=ran.query, job=ran.job)),
    }
    of_datum = {
        "datum": user(datum=datums[0]),
        "job datum": user(job_datum=logs.JobDatumLogQuery(job=ran.job, datum=datums[0])),
        "pipeline datum": user(
            pipeline_datum=logs.PipelineDatumLogQuery(pipeline=ran.query, datum=datums[0])
        ),
    }

    begins = {
        name: sorted(
            text(line) for line in lines(ran.client, query, user_logs_only=True) if "begin" in text(line)
        )
        for name, query in (queries | of_datum).items()
    }

    assert {tuple(begins[name]) for name in queries} == {("begin a", "begin b")}
    assert len({tuple(begins[name]) for name in of_datum}) == 1
    assert all(len(begins[name]) == 1 for name in of_datum)


def test_a_line_has_its_text_time_job_and_the_object_that_it_is(ran: Ran) -> None:
    [line, _] = lines(ran.client, user(pipeline=ran.query), level=logs.LogLevel.LOG_LEVEL_ERROR)

    assert line.object.fields["message"].string_value == "it broke"
    assert line.object.fields["count"].number_value == 3
    assert line.pps_log_message.job_id == ran.job
    assert line.pps_log_message.user
    assert line.verbatim.timestamp == line.native_timestamp == line.pps_log_message.ts


def test_a_line_of_a_million_characters_comes_in_whole_pieces(ran: Ran) -> None:
    pieces = [text(line) for line in lines(ran.client, user(job=ran.job)) if text(line).startswith("xx")]

    assert sum(map(len, pieces)) == 2_000_000


def test_lines_are_chosen_by_expression_and_time(ran: Ran) -> None:
    begin = logs.RegexLogFilter(pattern="^begin [ab]")
    everything = lines(ran.client, user(pipeline=ran.query), user_logs_only=True)
    first = everything[0].verbatim.timestamp

    matching = lines(ran.client, user(pipeline=ran.query), regex=begin)
    others = lines(
        ran.client,
        user(pipeline=ran.query),
        user_logs_only=True,
        regex=logs.RegexLogFilter(pattern="^begin [ab]", negate=True),
    )
    later = lines(
        ran.client,
        user(pipeline=ran.query),
        time_range=logs.TimeRangeLogFilter(from_=datetime(2200, 1, 1, tzinfo=UTC)),
    )
    at_first = lines(
        ran.client,
        user(pipeline=ran.query),
        user_logs_only=True,
        time_range=logs.TimeRangeLogFilter(from_=first, until=first),
    )

    assert sorted(map(text, matching)) == ["begin a", "begin b"]
    assert len(matching) + len(others) == len(everything)
    assert later == []
    assert all(line.verbatim.timestamp == first for line in at_first)
    assert at_first


def test_paging_hints_lead_through_all_lines(ran: Ran) -> None:
    everything = [text(line) for line in lines(ran.client, user(pipeline=ran.query))]
    criteria = logs.LogFilter(limit=2)
    request = logs.GetLogsRequest(query=user(pipeline=ran.query), filter=criteria)
    paged: list[str] = []

    while True:
        *page, last = ran.client.logs.get_logs(
            query=request.query, filter=request.filter, want_paging_hint=True
        )
        if not page:
            break
        paged += [text(answer.log) for answer in page]
        request = last.paging_hint.newer
    *page, _ = ran.client.logs.get_logs(
        query=request.query, filter=last.paging_hint.older.filter, want_paging_hint=True
    )

    assert paged == everything
    assert [text(answer.log) for answer in page] == everything[:-3:-1]


def test_queries_by_pod_app_and_logql_are_for_those_who_run_the_server(ran: Ran) -> None:
    [worker] = {line.pps_log_message.worker_id for line in lines(ran.client, user(pipeline=ran.query))}

    by_pod = lines(ran.client, admin(pod=worker))
    by_container = lines(ran.client, admin(pod_container=logs.PodContainer(pod=worker, container="user")))
    by_logql = lines(ran.client, admin(logql='{suite="pachyderm",pipelineName="speak"} |= "begin"'))
    of_server = lines(ran.client, admin(app="pachd"))
    of_master = lines(ran.client, admin(master=ran.query))
    of_storage = lines(ran.client, admin(storage=ran.query))
    of_nobody = lines(ran.client, admin(app="etcd"))

    assert len(by_pod) == len(lines(ran.client, user(pipeline=ran.query)))
    assert all(line.pps_log_message.user for line in by_container)
    assert sorted(map(text, by_logql)) == ["begin a", "begin b"]
    assert any("job finished" in text(line) or "SUCCESS" in text(line) for line in of_server)
    assert 0 < len(of_master) <= len(of_server)
    assert all("speak" in text(line) for line in of_master)
    assert not any(line.pps_log_message.user for line in of_storage)
    assert of_nobody == []


@pytest.mark.parametrize(
    ("query", "criteria", "code"),
    [
        (logs.LogQuery(), {}, grpc.StatusCode.INVALID_ARGUMENT),
        (user(), {}, grpc.StatusCode.INVALID_ARGUMENT),
        (admin(logql="speak"), {}, grpc.StatusCode.INVALID_ARGUMENT),
        (user(pipeline_job=logs.PipelineJobLogQuery(job="1")), {}, grpc.StatusCode.INVALID_ARGUMENT),
        (
            user(project="default"),
            {"regex": logs.RegexLogFilter(pattern="(")},
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (user(project="default"), {"level": 9}, grpc.StatusCode.INVALID_ARGUMENT),
        (user(job="0" * 32), {}, grpc.StatusCode.NOT_FOUND),
        (
            user(pipeline=logs.PipelineLogQuery(project="default", pipeline="nobody")),
            {},
            grpc.StatusCode.NOT_FOUND,
        ),
    ],
)
def test_a_query_that_is_not_valid_is_refused(
    ran: Ran, query: logs.LogQuery, criteria: dict[str, object], code: grpc.StatusCode
) -> None:
    assert refusal(lambda: lines(ran.client, query, **criteria)).code() == code


def test_the_server_is_asked_for_its_own_lines_by_master_or_without_a_pipeline(ran: Ran) -> None:
    everything = list(ran.client.pps.get_logs())
    of_pipeline = list(ran.client.pps.get_logs(pipeline=ran.pipeline, master=True))
    last = list(ran.client.pps.get_logs(pipeline=ran.pipeline, master=True, tail=1))

    assert all(line.master for line in everything)
    assert 0 < len(of_pipeline) <= len(everything)
    assert all(ran.pipeline.name in line.message for line in of_pipeline)
    assert [line.message for line in last] == [of_pipeline[-1].message]


class Follower:
    """Reads a stream of lines in a thread, by a client of its own."""

    def __init__(self, server: Server, follow: Callable[[Client], Iterator[Any]]) -> None:
        self._client = server.client()
        self._stream = follow(self._client)
        self.seen: list[Any] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in self._stream:
                self.seen.append(line)
        except (grpc.RpcError, ValueError):  # the channel was closed
            return

    def close(self) -> None:
        self._client._channel.close()
        self._thread.join(30)


def test_followers_of_a_pipeline_that_never_ran_see_its_first_lines(shared: Server) -> None:
    client = shared.client()
    quiet = make_repo(client, "quiet")
    pipeline = make_pipeline(client, "later", "echo hello", "quiet")
    query = user(pipeline=logs.PipelineLogQuery(project="default", pipeline="later"))
    ended = list(client.pps.get_logs(pipeline=pipeline))
    new = Follower(shared, lambda client: client.logs.get_logs(query=query, tail=True))
    old = Follower(shared, lambda client: client.pps.get_logs(pipeline=pipeline, follow=True))
    of_file = Follower(
        shared, lambda client: client.pps.get_logs(pipeline=pipeline, follow=True, data_filters=["/a"])
    )
    of_server = Follower(
        shared, lambda client: client.pps.get_logs(pipeline=pipeline, follow=True, master=True)
    )
    try:
        commit = put(client, quiet, {"/a": b"1"})
        client.pps.inspect_job(job=job_of(pipeline, commit), wait=True)

        until(lambda: any(text(answer.log) == "hello" for answer in new.seen), "the line by logs.API")
        until(lambda: any(line.message.strip() == "hello" for line in old.seen), "the line by GetLogs")
        until(lambda: any(line.message.strip() == "hello" for line in of_file.seen), "the line of the file")
        until(lambda: any(commit in line.message for line in of_server.seen), "the server's line of the job")
        of_job = [text(answer.log) for answer in client.logs.get_logs(query=user(job=commit), tail=True)]
    finally:
        new.close()
        old.close()
        of_file.close()
        of_server.close()

    assert ended == []
    assert "hello" in of_job
