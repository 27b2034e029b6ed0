"""What only buckets promise: sentences for what they refuse, patience for what passes, URLs that are signed."""

from __future__ import annotations

import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from s3_server import SECRET_OF_USERS, BadWay, free_ports, get

from trunkline.app import drivers
from trunkline.app.settings import Settings
from trunkline.drivers.objects import bucket_errors
from trunkline.drivers.objects.buckets import BucketObjects
from trunkline.drivers.objects.local import LocalObjects
from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    TrunklineError,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from s3_server import S3Server

    Open = Callable[..., BucketObjects]


@pytest.fixture
def open_bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open a bucket with the variables of a user, perhaps by another way, with little patience."""

    def open_it(
        *, url: str = "", key: str = "", way: str = "", patience: float = 20.0, **more: str
    ) -> BucketObjects:
        variables = s3.environment(address=way)
        if key:
            variables |= {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": SECRET_OF_USERS}
        for name, value in (variables | more).items():
            monkeypatch.setenv(name, value)
        return BucketObjects(url or f"s3://ready/{uuid.uuid4().hex}", patience=patience)

    return open_it


@pytest.fixture
def way(s3: S3Server) -> Iterator[BadWay]:
    way = BadWay(s3.address)
    yield way
    way.close()


def refused(call: Callable[[], object], kind: type[TrunklineError]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return caught.value.message


# --- what is refused ----------------------------------------------------------------------------------------


def test_a_bucket_that_is_not_there_is_named(open_bucket: Open) -> None:
    objects = open_bucket(url="s3://no-such-bucket/here")

    for call in (objects.check, lambda: objects.put("a", [b"x"]), lambda: list(objects.list(""))):
        message = refused(call, FailedPrecondition)
        assert "s3://no-such-bucket/here: there is no such bucket" in message
        assert "--store" in message


def test_a_server_that_may_only_read_is_told_which_rights_it_lacks(open_bucket: Open) -> None:
    objects = open_bucket(url="s3://ready/team", key="reader")

    message = refused(objects.check, PermissionDenied)

    assert message == (
        "the server may not store and delete objects in s3://ready/team; allow s3:PutObject and"
        " s3:DeleteObject on arn:aws:s3:::ready/team/* in the policy of its role or user"
    )


def test_a_server_that_may_only_write_is_told_which_rights_it_lacks(open_bucket: Open) -> None:
    message = refused(open_bucket(url="s3://ready/team", key="writer").check, PermissionDenied)

    assert "may not read and list objects" in message
    assert (
        "allow s3:GetObject on arn:aws:s3:::ready/team/* and s3:ListBucket on arn:aws:s3:::ready in"
        in message
    )


def test_a_refusal_later_on_names_the_action_too(open_bucket: Open) -> None:
    objects = open_bucket(url="s3://ready/team", key="reader")

    message = refused(lambda: objects.put("packs/x", [b"x"]), PermissionDenied)

    assert "cannot store object 'packs/x'" in message
    assert "s3:PutObject on arn:aws:s3:::ready/team/*" in message


@pytest.mark.parametrize(
    ("variable", "value", "fragment"),
    [
        ("AWS_ACCESS_KEY_ID", "nobody", "AWS_ACCESS_KEY_ID"),
        ("AWS_SECRET_ACCESS_KEY", "wrong", "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_wrong_credentials_are_told_apart_from_missing_rights(
    open_bucket: Open, variable: str, value: str, fragment: str
) -> None:
    message = refused(open_bucket(**{variable: value}).check, PermissionDenied)

    assert fragment in message


def test_a_server_without_credentials_is_told_where_they_come_from(
    open_bucket: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in the environment: obstore asks the machine, at an address where nobody answers here."""
    open_bucket()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    [port] = free_ports(1)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{port}")

    objects = BucketObjects("s3://ready/x", patience=0.5)
    message = refused(objects.check, Unavailable)

    assert "no credentials were found" in message
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run the server with a role" in message
    assert objects.sign("packs/p", "GET", 60) is None


def test_a_bucket_in_another_region_is_said_with_the_region() -> None:
    """SeaweedFS has no regions; these are the answers of Amazon, as obstore passes them on."""
    place = bucket_errors.Bucket("s3", "far", "")
    texts = {
        "Server returned non-2xx status code: 400 Bad Request: <Error><Code>AuthorizationHeaderMalformed</Code>"
        "<Message>The region 'us-east-1' is wrong; expecting 'eu-west-1'</Message>"
        "<Region>eu-west-1</Region></Error>": "in region eu-west-1; set AWS_REGION=eu-west-1",
        "Received redirect without LOCATION, this normally indicates an incorrectly configured region": (
            "in another region; set AWS_REGION to it"
        ),
    }
    for text, region in texts.items():
        error = bucket_errors.translate(place, "store", "k", OSError(text))
        assert isinstance(error, FailedPrecondition)
        assert region in error.message


def test_a_store_that_is_not_there_is_said_after_the_patience_is_over(open_bucket: Open) -> None:
    [port] = free_ports(1)
    objects = open_bucket(way=f"127.0.0.1:{port}", patience=0.3)

    for call in (objects.check, lambda: objects.get("k"), lambda: objects.delete("k")):
        assert "s3://ready" in refused(call, Unavailable)


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///prefix", "s3://bucket/x?region=here", "ftp://host/x", "here"]
)
def test_a_url_that_names_no_bucket_is_refused(url: str, tmp_path: Path) -> None:
    refused(lambda: drivers.objects(Settings(data=tmp_path, store=url)), InvalidArgument)


def test_the_url_chooses_the_driver(open_bucket: Open, tmp_path: Path) -> None:
    open_bucket()

    def opened(url: str) -> object:
        return drivers.objects(Settings(data=tmp_path, store=url))

    assert isinstance(opened(""), LocalObjects)
    assert isinstance(opened("memory:"), MemoryObjects)
    assert isinstance(opened("s3://ready/some/prefix"), BucketObjects)
    folder = opened(f"file://{tmp_path}/else%20where")
    assert isinstance(folder, LocalObjects)
    folder.put("k", [b"x"])
    assert (tmp_path / "else where" / "k").read_bytes() == b"x"


def test_the_check_at_the_start_leaves_nothing(open_bucket: Open) -> None:
    objects = open_bucket()

    objects.check()

    assert list(objects.list("")) == []


def test_two_prefixes_of_a_bucket_do_not_see_each_other(open_bucket: Open) -> None:
    first, other = open_bucket(), open_bucket()
    first.put("k", [b"one"])

    assert list(other.list("")) == []
    other.put("k", [b"other"])
    assert first.get("k") == b"one"


# --- bad days -----------------------------------------------------------------------------------------------

PACK = os.urandom(3 << 20)


@pytest.mark.parametrize("how", ["503", "refuse", "cut request", "lose answer", "flip"])
def test_a_put_that_goes_wrong_on_the_way_is_repeated_until_it_is_stored(
    open_bucket: Open, way: BadWay, how: str
) -> None:
    objects = open_bucket(way=way.address)
    way.go_wrong(how, "PUT", times=2)

    objects.put("packs/p", [PACK])

    assert way.pending == 0
    assert objects.get("packs/p") == PACK


def test_a_put_whose_answer_was_lost_does_not_take_the_key_of_another(open_bucket: Open, way: BadWay) -> None:
    objects = open_bucket(way=way.address)
    objects.put("packs/p", [b"of another"])
    way.go_wrong("lose answer", "PUT")

    with pytest.raises(AlreadyExists):
        objects.put("packs/p", [PACK])

    assert objects.get("packs/p") == b"of another"


@pytest.mark.parametrize("how", ["503", "refuse", "cut answer"])
def test_a_read_that_goes_wrong_on_the_way_is_repeated(open_bucket: Open, way: BadWay, how: str) -> None:
    objects = open_bucket(way=way.address)
    objects.put("packs/p", [PACK])
    way.go_wrong(how, "GET", times=2)

    assert objects.get("packs/p", 1 << 20, 2 << 20) == PACK[1 << 20 :]

    assert way.pending == 0
    way.go_wrong(how, "GET", times=1)
    assert objects.get("packs/p") == PACK


def test_a_read_that_stalls_is_begun_anew(open_bucket: Open, way: BadWay) -> None:
    open_bucket(way=way.address).put("packs/p", [PACK])
    stalled = open_bucket(way=way.address, patience=1.0, url="s3://ready/stall")
    stalled.put("packs/p", [PACK])
    way.go_wrong("stall", "GET")

    assert stalled.get("packs/p", 0, 5) == PACK[:5]


def test_a_store_that_stays_busy_is_unavailable_and_nothing_is_stored(open_bucket: Open, way: BadWay) -> None:
    objects = open_bucket(way=way.address, patience=0.4)
    way.go_wrong("503", "PUT", times=1000)

    message = refused(lambda: objects.put("packs/p", [PACK]), Unavailable)

    assert "503 Service Unavailable, SlowDown" in message
    way.well()
    with pytest.raises(NotFound):
        objects.get("packs/p")


def test_many_packs_at_once_all_arrive_over_a_bad_way(open_bucket: Open, way: BadWay) -> None:
    objects = open_bucket(way=way.address)
    for how in ("503", "refuse", "cut request", "lose answer"):
        way.go_wrong(how, "PUT", times=4)
    packs = {f"packs/{number}": os.urandom(200_000 + number) for number in range(24)}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: objects.put(key, [packs[key]]), packs))

    assert way.pending == 0
    assert {key: objects.get(key) for key, _ in objects.list("packs/")} == packs


# --- signed URLs --------------------------------------------------------------------------------------------


def test_a_signed_url_reads_one_object_and_no_other(open_bucket: Open) -> None:
    objects = open_bucket()
    objects.put("packs/p", [b"for all to see"])
    objects.put("packs/q", [b"for nobody"])

    url = objects.sign("packs/p", "GET", 60)

    assert url is not None
    assert get(url) == b"for all to see"
    with pytest.raises(AssertionError, match="403"):
        get(url.replace("packs/p", "packs/q"))


def test_neither_a_folder_nor_memory_signs(tmp_path: Path) -> None:
    assert LocalObjects(tmp_path).sign("k", "GET", 60) is None
    assert MemoryObjects().sign("k", "PUT", 60) is None
