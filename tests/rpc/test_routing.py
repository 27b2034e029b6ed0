"""Which application answers a request, and which requests of browsers none does."""

from __future__ import annotations

import pytest
from exchange import GRPC, Exchange, text

from trunkline import errors
from trunkline.rpc.asgi.browsers import BrowserChecks
from trunkline.rpc.asgi.responses import respond_text
from trunkline.rpc.asgi.routing import Router

JSON = (b"content-type", b"application/json")


def application(name):
    async def answer(_scope, _receive, send):
        await respond_text(send, 200, name)

    return answer


def router(listen="127.0.0.1:30650", hosts=(), origins=()):
    mounts = {name: application(name) for name in ("api", "livez", "readyz", "metrics")}
    browsers = BrowserChecks([listen], hosts, origins)
    return Router(grpc=application("grpc"), connect=application("connect"), mounts=mounts, browsers=browsers)


async def request(
    router, path="/api/x", *, method="POST", host="127.0.0.1:30650", headers=(), http_version="2"
):
    base = [JSON] if not any(name == b"content-type" for name, _ in headers) else []
    exchange = Exchange(
        router,
        path,
        text(""),
        headers=headers,
        method=method,
        base=base,
        http_version=http_version,
        host=host,
    )
    return await exchange.ended()


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        pytest.param("/pfs_v2.API/ListRepo", GRPC, "grpc", id="gRPC"),
        pytest.param(
            "/pfs_v2.API/ListRepo", [(b"content-type", b"application/grpc+proto")], "grpc", id="gRPC subtype"
        ),
        pytest.param("/api", GRPC, "grpc", id="the content type before the path"),
        pytest.param("/api/pfs_v2.API/ListRepo", [], "api", id="REST"),
        pytest.param("/api", [], "api", id="a prefix alone"),
        pytest.param("/pfs_v2.API/ListRepo", [], "connect", id="Connect"),
        pytest.param("/livez", [], "livez", id="probe"),
        pytest.param("/metrics", [], "metrics", id="metrics"),
    ],
)
async def test_a_request_goes_to_the_application_of_its_content_type_and_path(path, headers, name):
    exchange = await request(router(), path, headers=headers)

    assert (exchange.status, exchange.body) == (200, f"{name}\n".encode())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/", 200),
        ("POST", "/", 405),
        ("GET", "/other", 404),
        ("GET", "/apis", 404),
        ("OPTIONS", "*", 404),
        ("GET", "//api", 404),
    ],
)
async def test_what_nothing_is_mounted_at_gets_a_text(method, path, status):
    exchange = await request(router(), path, method=method)

    assert exchange.status == status
    assert exchange.headers[b"content-type"].startswith(b"text/plain")
    assert exchange.body.endswith(b"\n")


async def test_grpc_over_http_1_is_refused_with_what_it_needs():
    exchange = await request(router(), "/pfs_v2.API/ListRepo", headers=GRPC, http_version="1.1")

    assert exchange.status == 400
    assert b"HTTP/2" in exchange.body


@pytest.mark.parametrize(
    ("listen", "host", "status"),
    [
        ("127.0.0.1:30650", "127.0.0.1:30650", 200),
        ("127.0.0.1:30650", "localhost", 200),
        ("127.0.0.1:30650", "LOCALHOST.:80", 200),
        ("127.0.0.1:30650", "data.localhost:8080", 200),
        ("127.0.0.1:30650", "[::1]:30650", 200),
        ("127.0.0.1:30650", "127.1.2.3", 200),
        ("127.0.0.1:30650", "data.example.org:30650", 200),
        ("127.0.0.1:30650", "192.168.1.7:30650", 403),
        ("127.0.0.1:30650", "evil.example", 403),
        ("127.0.0.1:30650", "data.example.org.evil.example", 403),
        ("127.0.0.1:30650", "127.0.0.1.evil.example", 403),
        ("127.0.0.1:30650", "localhost.evil.example", 403),
        ("127.0.0.1:30650", "", 403),
        ("127.0.0.1:30650", None, 403),
        ("192.168.1.7:30650", "192.168.1.7:30650", 200),
        ("192.168.1.7:30650", "192.168.1.8:30650", 403),
        ("trunkline.internal:30650", "trunkline.internal:30650", 200),
        ("0.0.0.0:30650", "192.168.1.7:30650", 200),
        ("[::]:30650", "[fe80::7]:30650", 200),
        ("0.0.0.0:30650", "evil.example", 403),
        ("unix:/run/trunkline.sock", "localhost", 200),
        ("unix:/run/trunkline.sock", "unix", 403),
    ],
)
async def test_only_names_of_the_server_are_answered(listen, host, status):
    exchange = await request(router(listen, hosts=["Data.example.org"]), host=host)

    assert exchange.status == status
    assert (b"--allow-host" in exchange.body) == (status == 403)


@pytest.mark.parametrize("headers", [[(b"content-type", b"application/grpc")], []])
async def test_grpc_and_probes_are_answered_under_any_name(headers):
    path = "/pfs_v2.API/ListRepo" if headers else "/livez"

    exchange = await request(
        router(), path, host="10.0.0.7", headers=[*headers, (b"origin", b"https://evil.example")]
    )

    assert exchange.status == 200


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        pytest.param("POST", {}, 200, id="a program"),
        pytest.param("POST", {"sec-fetch-site": "same-origin"}, 200, id="own page"),
        pytest.param("POST", {"sec-fetch-site": "none"}, 200, id="the user"),
        pytest.param("POST", {"sec-fetch-site": "same-site"}, 403, id="same site, other port"),
        pytest.param("POST", {"sec-fetch-site": "cross-site"}, 403, id="other site"),
        pytest.param(
            "POST", {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:30650"}, 403, id="both"
        ),
        pytest.param("POST", {"origin": "http://127.0.0.1:30650"}, 200, id="own origin, old browser"),
        pytest.param("POST", {"origin": "http://127.0.0.1:8080"}, 403, id="other port, old browser"),
        pytest.param("POST", {"origin": "https://evil.example"}, 403, id="other origin, old browser"),
        pytest.param("POST", {"origin": "null"}, 403, id="opaque origin"),
        pytest.param("DELETE", {"origin": "null"}, 403, id="any method that writes"),
        pytest.param("GET", {"sec-fetch-site": "cross-site"}, 200, id="a link"),
        pytest.param(
            "POST", {"sec-fetch-site": "cross-site", "origin": "https://ui.example"}, 200, id="ours"
        ),
    ],
)
async def test_only_own_and_configured_pages_may_write(method, headers, status):
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]

    exchange = await request(router(origins=["https://UI.example/"]), method=method, headers=encoded)

    assert exchange.status == status
    assert (b"--allow-origin" in exchange.body) == (status == 403)


@pytest.mark.parametrize(("origin", "status"), [("https://ui.example", 204), ("https://evil.example", 403)])
async def test_only_configured_origins_get_the_headers_of_cors(origin, status):
    headers = [
        (b"origin", origin.encode()),
        (b"access-control-request-method", b"POST"),
        (b"access-control-request-headers", b"content-type, authn-token"),
    ]
    checked = router(origins=["https://ui.example"])

    preflight = await request(checked, method="OPTIONS", headers=headers)
    read = await request(checked, method="GET", headers=headers[:1])

    assert preflight.status == status
    allowed = preflight.headers.get(b"access-control-allow-origin")
    assert allowed == (b"https://ui.example" if status == 204 else None)
    assert read.headers.get(b"access-control-allow-origin") == allowed
    if status == 204:
        assert preflight.headers[b"access-control-allow-headers"] == b"content-type, authn-token"
        assert read.headers[b"vary"] == b"origin"


@pytest.mark.parametrize(
    "host", ["", "https://data.example.org", "data.example.org:80", "a/b", "zürich.example"]
)
def test_a_host_that_is_not_valid_is_refused(host):
    with pytest.raises(errors.InvalidArgument, match="--allow-host"):
        BrowserChecks([], hosts=[host])


@pytest.mark.parametrize("origin", ["", "*", "data.example.org", "https://a.example/ui", "ftp://a.example"])
def test_an_origin_that_is_not_valid_is_refused(origin):
    with pytest.raises(errors.InvalidArgument, match="--allow-origin"):
        BrowserChecks([], origins=[origin])
