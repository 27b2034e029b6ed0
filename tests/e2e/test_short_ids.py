"""The command line takes the first digits of ids, and the last job of a pipeline, against a whole server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from servers import ended, make_pipeline, make_repo, put

from trunkline.cli.main import main

if TYPE_CHECKING:
    from pachyderm_sdk import Client
    from servers import Server

#: They go through whole servers for seconds; continuous integration runs them by name.
pytestmark = pytest.mark.slow


def test_first_digits_name_commits_jobs_and_datums(
    shared: Server, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    branch = make_repo(client, "in")
    pipeline = make_pipeline(client, "copy", "cp /pfs/in/* /pfs/out", "in")
    ids = []
    for number in range(2):
        ids.append(put(client, branch, {f"/{number}": b"x"}))
        job = ended(client, pipeline, ids[-1]).job
    datums = [info.datum.id for info in client.pps.list_datum(job=job)]

    def run(*words: str) -> tuple[int, str, str]:
        code = main([*words, "--address", shared.address])
        printed = capsys.readouterr()
        return code, printed.out.strip(), printed.err

    first, last = ids[0][:10], ids[1][:10]
    assert run("inspect", "commit", f"in@{last}", "-o", "name")[1] == f"default/in@{ids[1]}"
    assert run("list", "file", f"in@{first}", "-o", "name")[1] == f"default/in@{ids[0]}:/0"
    assert run("inspect", "job", f"copy@{last}", "-o", "name")[1] == f"default/copy@{ids[1]}"
    assert run("inspect", "job", last, "-o", "name")[1] == f"default/copy@{ids[1]}"
    assert run("inspect", "job", "copy@", "-o", "name")[1] == f"default/copy@{ids[1]}"
    assert run("inspect", "job", "copy@^", "-o", "name")[1] == f"default/copy@{ids[0]}"
    for datum in datums:
        assert run("inspect", "datum", "copy@", datum[:6], "-o", "name")[1] == datum
    assert run("inspect", "job", "copy@^^^^^")[0] == 3
    assert run("inspect", "datum", "copy@", "0" * 8)[0] == 3
    code, _, message = run("inspect", "commit", "in@0000")
    assert (code, "0000" in message) == (3, True)
    code, _, message = run("inspect", "job", "copy")
    assert (code, "copy@ " in message) == (2, True)


def test_a_branch_has_precedence_over_an_id(
    shared: Server, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    branch = make_repo(client, "in")
    id = put(client, branch, {"/a": b"x"})
    client.pfs.create_branch(branch=type(branch)(repo=branch.repo, name=id[:8]))

    assert main(["list", "file", f"in@{id[:8]}", "--address", shared.address, "-o", "name"]) == 0
    assert capsys.readouterr().out == ""


def test_digits_that_begin_several_ids_are_refused_with_a_list(
    shared: Server, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    branch = make_repo(client, "in")
    # One of 65,536 beginnings: two commits of chosen ids would need the store, so the search is for a datum of many.
    pipeline = make_pipeline(client, "copy", "cp /pfs/in/* /pfs/out", "in")
    job = ended(client, pipeline, put(client, branch, {f"/{number}": b"x" for number in range(60)})).job
    datums = [info.datum.id for info in client.pps.list_datum(job=job)]
    digit = next(each for each in "0123456789abcdef" if sum(id.startswith(each) for id in datums) > 1)

    code = main(["inspect", "datum", f"copy@{job.id}", digit, "--address", shared.address])

    assert code == 2
    assert next(id for id in sorted(datums) if id.startswith(digit)) in capsys.readouterr().err
