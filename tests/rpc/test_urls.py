"""Files from URLs, files to URLs and egress to object stores, through the published SDK."""

from __future__ import annotations

import contextlib
import sqlite3

import grpc
import pytest
from pachyderm_sdk.api import pfs
from sdk_steps import content, put, refusal
from web_server import broken, web_server

IMAGES = pfs.Repo.from_uri("images")
MASTER = pfs.Branch.from_uri("images@master")


@pytest.fixture(scope="module")
def site():
    with web_server() as running:
        yield running


@pytest.fixture(scope="module")
def bucket(s3):
    s3.make_bucket("urls")
    return "s3://urls"


@pytest.fixture(scope="module")
def databases(tmp_path_factory):
    return tmp_path_factory.mktemp("databases")


@pytest.fixture(scope="module")
def shared(tmp_path_factory, serve_folder, site, s3, bucket, databases):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment().items():
            patch.setenv(name, value)
        rules = (site.url, bucket, f"sqlite://{databases}")
        with serve_folder(tmp_path_factory.mktemp("urls"), outbound=rules) as server:
            yield server.client()


@pytest.fixture
def images(shared):
    shared.pfs.create_repo(repo=IMAGES)
    yield shared
    shared.pfs.delete_repo(repo=IMAGES, force=True)


def add(client, path, url, **source):
    client.pfs.modify_file(
        iter(
            [
                pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=IMAGES, branch=MASTER)),
                pfs.ModifyFileRequest(
                    add_file=pfs.AddFile(path=path, url=pfs.AddFileUrlSource(url=url, **source))
                ),
            ]
        )
    )


def send(client, path, url, *, tar=False):
    request = pfs.GetFileRequest(file=pfs.File.from_uri(f"images@master:{path}"), url=url)
    call = client.pfs.get_file_tar if tar else client.pfs.get_file
    frames = call(file=request.file, url=url)
    return list(frames)


def test_a_file_comes_from_an_http_url_and_is_appended(images, site):
    site.answers["/a.txt"] = b"from far"
    client = images

    put(client, MASTER, {"/a.txt": b"here and "})
    add(client, "/a.txt", f"{site.url}/a.txt")

    assert content(client, "images@master") == {"/a.txt": b"here and from far"}


def test_an_empty_file_comes_from_a_url(images, site):
    site.answers["/empty"] = b""

    add(images, "/empty", f"{site.url}/empty")

    assert content(images, "images@master") == {"/empty": b""}


def test_the_sdk_puts_a_file_from_a_url(images, site):
    site.answers["/sdk"] = b"by the SDK"

    with images.pfs.commit(branch=MASTER) as commit:
        commit.put_file_from_url(path="/sdk", url=f"{site.url}/sdk")

    assert content(images, "images@master") == {"/sdk": b"by the SDK"}


def test_a_url_that_breaks_off_leaves_no_commit(images, site):
    site.answers["/short"] = broken(5_000_000, b"x" * 4_000_000)

    code, _ = refusal(add, images, "/short", f"{site.url}/short")

    assert code == grpc.StatusCode.UNAVAILABLE

    assert list(images.pfs.list_commit(repo=IMAGES)) == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://example.org/x", grpc.StatusCode.PERMISSION_DENIED),
        ("http://169.254.169.254/latest/meta-data", grpc.StatusCode.PERMISSION_DENIED),
        ("file:///etc/passwd", grpc.StatusCode.PERMISSION_DENIED),
        ("s3://other/x", grpc.StatusCode.PERMISSION_DENIED),
        ("gopher://example.org/x", grpc.StatusCode.INVALID_ARGUMENT),
        ("sqlite:///none/x", grpc.StatusCode.PERMISSION_DENIED),
        ("", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_a_url_that_is_not_allowed_is_refused(images, url, code):
    assert refusal(add, images, "/x", url)[0] == code


def test_files_go_to_an_object_store_and_come_back(images, bucket):
    files = {"/dir/a b": b"one", "/dir/c%": b"two" * 1_000_000, "/empty": b"", "/dir2/d": b"three"}
    put(images, MASTER, files)

    assert send(images, "/", f"{bucket}/back/", tar=True) == []
    put(images, MASTER, {}, delete=["/"])
    add(images, "/again", f"{bucket}/back", recursive=True, concurrency=3)
    add(images, "/one", f"{bucket}/back/dir2/d")

    expected = {f"/again{path}": data for path, data in files.items()}
    assert content(images, "images@master") == {**expected, "/one": b"three"}


def test_only_the_files_of_a_glob_go_to_an_object_store(images, bucket):
    put(images, MASTER, {"/a.png": b"1", "/b.txt": b"2"})

    send(images, "/*.png", f"{bucket}/glob")
    add(images, "/back", f"{bucket}/glob", recursive=True)

    assert "/back/a.png" in content(images, "images@master")
    assert "/back/b.txt" not in content(images, "images@master")


def test_a_prefix_without_objects_is_not_found(images, bucket):
    code, _ = refusal(add, images, "/x", f"{bucket}/no/such/prefix", recursive=True)

    assert code == grpc.StatusCode.NOT_FOUND


def test_an_egress_writes_all_files_and_may_be_repeated(images, bucket):
    commit = put(images, MASTER, {"/a/b": b"12", "/c": b"345"})
    target = pfs.ObjectStorageEgress(url=f"{bucket}/egress")

    for _ in range(2):
        response = images.pfs.egress(commit=commit, object_storage=target)
        assert response.object_storage.bytes_written == 5

    add(images, "/back", f"{bucket}/egress", recursive=True)
    assert content(images, "images@master")["/back/a/b"] == b"12"


def test_an_egress_of_no_files_writes_nothing(images, bucket):
    with images.pfs.commit(branch=MASTER) as commit:
        pass

    response = images.pfs.egress(
        commit=commit, object_storage=pfs.ObjectStorageEgress(url=f"{bucket}/nothing")
    )

    assert response.object_storage.bytes_written == 0


def test_an_open_commit_has_no_egress(images, bucket):
    commit = images.pfs.start_commit(branch=MASTER)

    code, _ = refusal(
        images.pfs.egress, commit=commit, object_storage=pfs.ObjectStorageEgress(url=f"{bucket}/open")
    )

    assert code == grpc.StatusCode.FAILED_PRECONDITION


def test_files_are_not_sent_to_http_urls(images, site):
    put(images, MASTER, {"/a": b"1"})

    code, _ = refusal(send, images, "/a", f"{site.url}/a")

    assert code == grpc.StatusCode.INVALID_ARGUMENT


# --- databases -------------------------------------------------------------------------------------------


@pytest.fixture
def database(databases, request):
    path = databases / f"{len(list(databases.iterdir()))}.db"
    with contextlib.closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, price REAL DEFAULT 9.5)")
        conn.execute("INSERT INTO orders VALUES (1, 'old', 1)")
        conn.execute("CREATE TABLE other (a TEXT)")
        conn.execute("INSERT INTO other VALUES ('stays')")
        conn.commit()
    return path


def rows(path, table="orders"):
    with contextlib.closing(sqlite3.connect(path)) as conn:
        return conn.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


def egress(client, commit, path, kind, columns=()):
    formats = {
        "CSV": pfs.SqlDatabaseEgressFileFormatType.CSV,
        "JSON": pfs.SqlDatabaseEgressFileFormatType.JSON,
    }
    form = pfs.SqlDatabaseEgressFileFormat(type=formats.get(kind, 0), columns=list(columns))
    target = pfs.SqlDatabaseEgress(url=f"sqlite://{path}", file_format=form)
    return client.pfs.egress(commit=commit, sql_database=target).sql_database.rows_written


def test_rows_of_csv_files_replace_those_of_their_table(images, database):
    files = {
        "/orders/1.csv": b"2,two,2.5\n3,,\n",
        "/orders/dir/2.csv": b'4,"a ""b"",\nc",1e3',
        "/orders/3": b"",
    }
    commit = put(images, MASTER, files)

    for _ in range(2):
        assert egress(images, commit, database, "CSV") == {"orders": 3}

    assert rows(database) == [(2, "two", 2.5), (3, None, None), (4, 'a "b",\nc', 1000.0)]
    assert rows(database, "other") == [("stays",)]


def test_a_header_of_csv_says_the_order_of_the_columns(images, database):
    commit = put(images, MASTER, {"/orders": b"item,id\nx,7\n"})

    egress(images, commit, database, "CSV", ["id", "item"])

    assert rows(database) == [(7, "x", 9.5)]


def test_fields_of_json_go_to_columns_by_name_or_position(images, database):
    commit = put(images, MASTER, {"/orders/a": b'{"id": 1, "item": "x", "more": 1}\n{"id": 2, "price": 3}'})
    egress(images, commit, database, "JSON")
    assert rows(database) == [(1, "x", None), (2, None, 3.0)]

    commit = put(images, MASTER, {"/orders/a": b'{"n": 5, "was": "y", "cost": "1.5"}'}, delete=["/"])
    egress(images, commit, database, "JSON", ["n", "was", "cost"])
    assert rows(database) == [(5, "y", 1.5)]


@pytest.mark.parametrize(
    ("files", "kind", "columns", "code"),
    [
        ({"/orders": b"1,a\n"}, "CSV", (), grpc.StatusCode.INVALID_ARGUMENT),
        ({"/orders": b"x,a,1\n"}, "CSV", (), grpc.StatusCode.INVALID_ARGUMENT),
        ({"/orders": b"1,a,1\n1,b,1\n"}, "CSV", (), grpc.StatusCode.INVALID_ARGUMENT),
        ({"/orders": b"id,price\n1,2\n"}, "CSV", ("id", "item"), grpc.StatusCode.INVALID_ARGUMENT),
        ({"/orders": b"[1]"}, "JSON", (), grpc.StatusCode.INVALID_ARGUMENT),
        ({"/orders": b""}, "JSON", ("nothing",), grpc.StatusCode.INVALID_ARGUMENT),
        ({"/orders": b""}, "CSV", ("id", "id"), grpc.StatusCode.INVALID_ARGUMENT),
        ({"/orders": b""}, "", (), grpc.StatusCode.INVALID_ARGUMENT),
        ({"/orders": b"", "/absent/x": b""}, "CSV", (), grpc.StatusCode.NOT_FOUND),
    ],
)
def test_files_that_do_not_fit_leave_the_tables_as_they_were(images, database, files, kind, columns, code):
    commit = put(images, MASTER, files)

    assert refusal(egress, images, commit, database, kind, columns)[0] == code

    assert rows(database) == [(1, "old", 1.0)]


def test_the_message_about_a_value_names_file_line_and_column(images, database):
    commit = put(images, MASTER, {"/orders/a.csv": b"2,b,1\n\nx,c,1\n"})

    _, sentence = refusal(egress, images, commit, database, "CSV")

    assert all(part in sentence for part in ("/orders/a.csv", "line 3", '"id"', "'x'"))


def test_the_password_of_a_database_is_in_a_secret(images, database):
    commit = put(images, MASTER, {"/orders": b""})
    images.pps.create_secret(name="two", data={"a": "hunter2", "b": "x"})

    def refused(**secret):
        target = pfs.SqlDatabaseEgress(
            url=f"sqlite://{database}",
            file_format=pfs.SqlDatabaseEgressFileFormat(type=pfs.SqlDatabaseEgressFileFormatType.CSV),
            secret=pfs.SqlDatabaseEgressSecret(**secret),
        )
        return refusal(images.pfs.egress, commit=commit, sql_database=target)

    codes = [
        refused(name="no", key="a"),
        refused(name="two", key="c"),
        refused(name="two"),
        refused(name="two", key="a"),
    ]

    assert [code for code, _ in codes] == [
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,  # SQLite has no passwords
    ]
    assert not any("hunter2" in sentence for _, sentence in codes)
