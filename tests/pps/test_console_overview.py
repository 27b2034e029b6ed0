"""What the console's overviews say of a small store: jobs that ended, run and wait, and what depends on what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import scale_calls
from google.protobuf.timestamp_pb2 import Timestamp
from postgres_server import database_url
from pps_world import Failed, PpsWorld, pfs

from trunkline import errors
from trunkline.meta import job_lines
from trunkline.model.states import WorkerState
from trunkline.rpc.gen import console_pb2 as pb
from trunkline.rpc.gen import pfs_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.message import Message


def copy(seen: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
    return {path: data for files in seen.values() for path, data in files.items()}


def fail(_seen: object) -> dict[str, bytes]:
    raise Failed("no such model")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PpsWorld]:
    """A pipeline with a good job, one behind it whose job failed, and one that waits for workers."""
    with database_url(request.param, tmp_path_factory.mktemp("shop"), installed=True) as url:
        world = PpsWorld(url)
        try:
            world.repo("images")
            world.put("images", {"/a": b"1", "/b": b"22"})
            world.pipeline("edges", pfs("images"))
            world.pipeline("montage", pfs("edges"))
            world.staffed("edges", copy).work_until_ended("edges")
            world.staffed("montage", fail).work_until_ended("montage")
            world.pipeline("waits", pfs("images"), parallelism_spec={"constant": 2})
            world.until_state("waits", "RUNNING")
            world.until(lambda: len(world.workers("waits")) == 2 or None, "two requested workers")
            yield world
        finally:
            world.close()


def ask(world: PpsWorld, rpc: str, request: Message) -> Any:
    [answer] = scale_calls.call(world, f"trunkline.console.v1.Console/{rpc}", request)
    return answer


def rows(world: PpsWorld, **request: Any) -> list[tuple[str, str]]:
    return [
        (row.pipeline, row.state) for row in ask(world, "ListJobRow", pb.ListJobRowRequest(**request)).rows
    ]


def test_the_graph_has_repos_pipelines_and_the_branches_between_them(shop: PpsWorld) -> None:
    graph = ask(shop, "InspectGraph", pb.InspectGraphRequest())

    nodes = {node.id: node for node in graph.nodes}
    assert {node.id: node.kind for node in graph.nodes} == {
        "default/repo:images": "repo",
        "default/pipeline:edges": "pipeline",
        "default/pipeline:montage": "pipeline",
        "default/pipeline:waits": "pipeline",
    }
    assert [(getattr(edge, "from"), edge.to, edge.branch) for edge in graph.edges] == [
        ("default/pipeline:edges", "default/pipeline:montage", "master"),
        ("default/repo:images", "default/pipeline:edges", "master"),
        ("default/repo:images", "default/pipeline:waits", "master"),
    ]
    assert nodes["default/repo:images"].size_bytes == 3
    assert nodes["default/pipeline:montage"].job.state == "FAILURE"
    assert nodes["default/pipeline:waits"].workers_limit == 2
    assert nodes["default/pipeline:waits"].workers == 0
    edges = nodes["default/pipeline:edges"]
    assert edges.workers == len(edges.ready_worker_ids)
    assert set(edges.ready_worker_ids) == {
        row.id for row in shop.workers("edges") if row.state in (WorkerState.IDLE, WorkerState.BUSY)
    }


def test_repos_are_rows_with_their_branches_size_and_writer(shop: PpsWorld) -> None:
    answer = ask(shop, "ListRepoRow", pb.ListRepoRowRequest())

    assert [
        (row.name, row.branches, row.size_bytes, row.is_output, row.HasField("head_at"))
        for row in answer.rows
    ] == [
        ("edges", 1, 3, True, True),
        ("images", 1, 3, False, True),
        ("montage", 1, 0, True, True),
        ("waits", 1, 0, True, True),
    ]
    assert answer.position


def test_a_client_with_the_topology_gets_states_without_edges(shop: PpsWorld) -> None:
    first = ask(shop, "InspectGraph", pb.InspectGraphRequest())

    second = ask(shop, "InspectGraph", pb.InspectGraphRequest(known_etag=first.etag))

    assert second.unchanged
    assert second.etag == first.etag
    assert not second.edges
    assert len(second.nodes) == len(first.nodes)


def test_the_graph_of_a_global_id_has_the_jobs_of_that_id(shop: PpsWorld) -> None:
    [edges] = [row.set_id for row in shop.jobs("edges")]

    graph = ask(shop, "InspectGraph", pb.InspectGraphRequest(commit_set=edges))

    states = {node.name: node.state for node in graph.nodes if node.kind == "pipeline"}
    assert states["edges"] == "SUCCESS"
    assert states["waits"] == ""


def test_rows_of_jobs_are_filtered_by_state_pipeline_global_id_and_time(shop: PpsWorld) -> None:
    [montage] = shop.jobs("montage")
    future = Timestamp(seconds=int(shop.clock.now()) + 3600)

    assert rows(shop) == [("waits", "RUNNING"), ("montage", "FAILURE"), ("edges", "SUCCESS")]
    assert rows(shop, states=["FAILURE"]) == [("montage", "FAILURE")]
    assert rows(shop, states=["RUNNING"]) == [("waits", "RUNNING")]
    assert rows(shop, states=["SUCCESS", "RUNNING"]) == [("waits", "RUNNING"), ("edges", "SUCCESS")]
    assert rows(shop, pipelines=["edges"]) == [("edges", "SUCCESS")]
    assert rows(shop, pipelines=["edges", "montage"], states=["FAILURE"]) == [("montage", "FAILURE")]
    assert rows(shop, projects=["default"], pipelines=["missing"]) == []
    assert rows(shop, commit_set=montage.set_id, states=["FAILURE"]) == [("montage", "FAILURE")]
    assert rows(shop, **{"from": future}) == [("waits", "RUNNING")]
    assert rows(shop, until=Timestamp(seconds=1)) == []


@pytest.mark.parametrize(
    "request_fields", [{}, {"projects": ["default"]}, {"states": ["SUCCESS", "FAILURE", "RUNNING"]}]
)
def test_pages_of_rows_follow_each_other_and_are_counted(
    shop: PpsWorld, request_fields: dict[str, Any]
) -> None:
    pages, token = [], ""
    while len(pages) < 5:
        request = pb.ListJobRowRequest(number=1, page_token=token, count=True, **request_fields)
        pages.append(ask(shop, "ListJobRow", request))
        token = pages[-1].next_page_token
        if not token:
            break

    assert [[row.pipeline for row in page.rows] for page in pages] == [["waits"], ["montage"], ["edges"]]
    assert {page.total for page in pages} == {3}


def test_windows_without_a_match_end_a_page_and_the_next_one_goes_on(
    shop: PpsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_lines, "WINDOW", 1)
    monkeypatch.setattr(job_lines, "WINDOWS", 1)
    fields = {"states": ["SUCCESS"]}

    first = ask(shop, "ListJobRow", pb.ListJobRowRequest(**fields))
    second = ask(shop, "ListJobRow", pb.ListJobRowRequest(page_token=first.next_page_token, **fields))
    third = ask(shop, "ListJobRow", pb.ListJobRowRequest(page_token=second.next_page_token, **fields))

    assert [len(page.rows) for page in (first, second, third)] == [0, 0, 1]


@pytest.mark.parametrize(
    "fields", [{"states": ["BROKEN"]}, {"page_token": "x"}, {"number": -1}, {"number": 1_001}]
)
def test_a_list_of_rows_that_is_not_valid_is_refused(shop: PpsWorld, fields: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidArgument):
        ask(shop, "ListJobRow", pb.ListJobRowRequest(**fields))


def test_the_overview_says_what_failed_runs_and_waits(shop: PpsWorld) -> None:
    overview = ask(shop, "InspectOverview", pb.InspectOverviewRequest())

    [project] = overview.projects
    [wait] = overview.waiting
    assert (project.name, project.repos, project.pipelines) == ("default", 4, 3)
    assert project.live_jobs == {"RUNNING": 1}
    assert project.ended_jobs == {"SUCCESS": 1, "FAILURE": 1}
    assert [(row.pipeline, row.failed) for row in overview.failed] == [("montage", 1)]
    assert [row.pipeline for row in overview.running] == ["waits"]
    assert (overview.failed_total, overview.running_total, overview.waiting_total) == (1, 1, 1)
    assert (wait.pipeline, wait.kind) == ("waits", "WAITING_FOR_WORKERS")
    assert wait.HasField("since")


def test_the_numbers_of_the_overview_are_those_of_the_lists(shop: PpsWorld) -> None:
    overview = ask(shop, "InspectOverview", pb.InspectOverviewRequest(seconds=3600))
    since = Timestamp(seconds=int(shop.clock.now()) - 3600)

    failed = ask(shop, "ListJobRow", pb.ListJobRowRequest(states=["FAILURE"], count=True, **{"from": since}))

    assert failed.total == overview.failed_total
    assert list(failed.rows) == list(overview.failed)


def test_a_run_has_the_commits_and_jobs_that_one_change_caused(shop: PpsWorld) -> None:
    [edges], [montage] = shop.jobs("edges"), shop.jobs("montage")

    page = ask(shop, "ListRun", pb.ListRunRequest(project="default"))

    listed = {run.commit_set: run for run in page.runs}
    assert listed[edges.set_id].job_states == {"SUCCESS": 1}
    assert listed[montage.set_id].job_states == {"FAILURE": 1}
    assert any(run.origin == "default/images@master" for run in page.runs)


def test_pages_of_runs_follow_each_other_without_a_gap(shop: PpsWorld) -> None:
    every = [run.commit_set for run in ask(shop, "ListRun", pb.ListRunRequest()).runs]

    paged: list[str] = []
    token = ""
    for _ in range(20):
        page = ask(shop, "ListRun", pb.ListRunRequest(number=1, page_token=token))
        paged += [run.commit_set for run in page.runs]
        token = page.next_page_token
        if not token:
            break

    assert paged == every
    assert len(set(every)) == len(every)


def test_the_history_of_scaling_has_decisions_and_the_workers_of_now(shop: PpsWorld) -> None:
    scaling = ask(shop, "InspectScaling", pb.InspectScalingRequest(pipeline="waits"))

    last = scaling.points[-1]
    assert (last.asked, last.existing, last.ready, last.busy, last.queue) == (2, 2, 0, 0, 2)
    assert any(point.HasField("busy") for point in scaling.points[:-1])  # what decisions observed
    assert scaling.decisions[-1].target == 2
    assert scaling.decisions[-1].sentence
    assert scaling.workers_limit == 2


@pytest.mark.parametrize(
    "fields", [{"width": -1}, {"until": Timestamp(seconds=10), "from": Timestamp(seconds=20)}]
)
def test_a_history_of_scaling_that_is_not_valid_is_refused(shop: PpsWorld, fields: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidArgument):
        ask(shop, "InspectScaling", pb.InspectScalingRequest(pipeline="waits", **fields))


def test_search_finds_names_by_a_part_and_ids_by_their_first_digits(shop: PpsWorld) -> None:
    [edges] = shop.jobs("edges")
    worker = shop.workers("waits")[0].id

    def hits(text: str) -> list[tuple[str, str, str]]:
        answer = ask(shop, "Search", pb.SearchRequest(text=text))
        return [(hit.kind, hit.name, hit.id) for hit in answer.hits]

    assert hits("ges") == [("pipeline", "edges", ""), ("repo", "images", "")]
    assert hits("EDG") == [("pipeline", "edges", "")]
    assert hits("defau") == [("project", "default", "")]
    assert ("job", "edges", edges.set_id) in hits(edges.set_id[:8])
    assert ("run", "", edges.set_id) in hits(edges.set_id[:8])
    assert ("worker", "waits", worker) in hits(worker[:8])
    assert hits("100%") == []
    assert hits(" ") == []


def test_a_name_that_leads_nowhere_says_what_was_deleted_when_and_what_is_like_it(shop: PpsWorld) -> None:
    def deletion(**names: str) -> pb.Deletion:
        return ask(shop, "FindDeletion", pb.FindDeletionRequest(**names))

    shop.repo("sketches")
    shop.put("sketches", {"/a": b"1"})
    commit = shop.head("sketches")
    repo = pfs_pb2.Repo(name="sketches", type="user", project=pfs_pb2.Project(name="default"))
    [job] = shop.jobs("edges")
    assert deletion(project="default", repo="sketches", ref=commit).kind == ""
    assert deletion(pipeline="edges", job_id=job.set_id).kind == ""

    shop.drop(commit)
    without_commit = deletion(repo="sketches", ref=commit)
    scale_calls.call(shop, "pfs_v2.API/DeleteRepo", pfs_pb2.DeleteRepoRequest(repo=repo))
    without_repo = deletion(repo="sketches", ref=commit)
    shop.repo("sketches")
    of_another_repo = deletion(repo="sketches", ref="0" * 32)
    scale_calls.call(
        shop, "pfs_v2.API/DeleteRepo", pfs_pb2.DeleteRepoRequest(repo=repo)
    )  # as others know the shop

    assert (without_commit.kind, without_repo.kind) == ("commit", "repo")
    assert 0 < without_commit.at.ToSeconds() <= without_repo.at.ToSeconds()
    assert getattr(of_another_repo, "with") == "repo"
    assert of_another_repo.at == without_repo.at
    assert deletion(commit_set=commit).at == without_commit.at
    assert list(deletion(pipeline="edge").similar) == ["edges"]
    assert deletion(repo="imagse").similar[0] == "images"
    assert list(deletion(repo="images", ref="mastre").similar) == ["master"]
    assert not deletion(pipeline="edges", job_id="0" * 32).HasField("at")
    assert (deletion(project="defualt").kind, list(deletion(project="defualt").similar)) == (
        "project",
        ["default"],
    )


def test_a_name_that_leads_nowhere_says_which_other_projects_have_it(shop: PpsWorld) -> None:
    project = pfs_pb2.Project(name="elsewhere")
    scale_calls.call(shop, "pfs_v2.API/CreateProject", pfs_pb2.CreateProjectRequest(project=project))

    def projects(**names: str) -> list[str]:
        deletion = ask(shop, "FindDeletion", pb.FindDeletionRequest(project="elsewhere", **names))
        return list(deletion.projects)

    assert projects(repo="images") == ["default"]
    assert projects(pipeline="edges") == ["default"]
    assert projects(pipeline="images") == []
    scale_calls.call(shop, "pfs_v2.API/DeleteProject", pfs_pb2.DeleteProjectRequest(project=project))
