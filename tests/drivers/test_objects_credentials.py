"""Where a server's credentials come from when none are given: the ways of EKS."""

from __future__ import annotations

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import boto3
import pytest
from moto.server import ThreadedMotoServer

from trunkline.drivers.objects import bucket_errors
from trunkline.drivers.objects.buckets import BucketObjects
from trunkline.errors import PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def cloud() -> Iterator[str]:
    """S3 of moto, which takes any credentials, with a bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    ).create_bucket(Bucket="packs")
    yield url
    server.stop()


@pytest.fixture
def variables(cloud: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return monkeypatch


def works() -> bool:
    objects = BucketObjects(f"s3://packs/{uuid.uuid4().hex}", patience=5.0)
    objects.put("k", [b"value"])
    url = objects.sign("k", "GET", 60)
    return objects.get("k") == b"value" and url is not None and "X-Amz-Security-Token" in url


def test_a_pod_identity_is_asked_for_credentials(variables: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """EKS Pod Identity: an agent on the node gives credentials to who shows the pod's token."""
    with stand_in("Authorization", "the-token") as url:
        (tmp_path / "token").write_text("the-token")
        variables.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/v1/credentials")
        variables.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))

        assert works()


def test_a_role_that_may_not_be_assumed_is_named() -> None:
    """Only HTTPS will do for STS, so this is its answer as obstore passes it on; the URL is not shown."""
    text = (
        "Generic S3 error: Error performing POST REDACTED in 1.2ms - Server returned non-2xx status code: "
        "403 Forbidden: <ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
    )

    error = bucket_errors.translate(bucket_errors.Bucket("s3", "packs", ""), "store", "k", OSError(text))

    assert isinstance(error, PermissionDenied)
    assert "the role of the server's service account could not be assumed (403 Forbidden, AccessDenied)" in (
        error.message
    )
    assert "AWS_ROLE_ARN or the role's trust policy" in error.message
    assert not bucket_errors.is_about_rights(OSError(text))


class stand_in:
    """A server that gives credentials for the right header and refuses everything else."""

    def __init__(self, header: str, value: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                right = self.headers.get(header) == value
                answer = {
                    "AccessKeyId": "from-the-agent",
                    "SecretAccessKey": "secret",
                    "Token": "session",
                    "Expiration": "2099-01-01T00:00:00Z",
                }
                body = json.dumps(answer).encode() if right else b"<Error><Code>AccessDenied</Code></Error>"
                self.send_response(200 if right else 403)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
