"""Errors of AWS, returned by a small server on loopback, and the messages for users."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from trunkline.cli import exit_codes
from trunkline.cli.main import main


@pytest.fixture
def refuse(credentials, monkeypatch, capfd, tmp_path):
    """Answer every call with an error; return the outcome of "fargate status"."""
    answer = {}

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"message": answer["message"]}).encode()
            self.send_response(answer["status"])
            self.send_header("x-amzn-errortype", answer["code"])
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("HOME", str(tmp_path))

    def refuse(status, code, message):
        answer.update(status=status, code=code, message=message)
        capfd.readouterr()
        done = main(("fargate", "status", "--cluster", "demo", "--region", "us-east-1"))
        return done, capfd.readouterr().err

    yield refuse
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_denied_call_names_the_action_to_allow(refuse):
    code, err = refuse(
        403, "AccessDeniedException", "User: x is not authorized to perform: eks:DescribeCluster"
    )

    assert code == exit_codes.DENIED
    assert "AWS denies eks:DescribeCluster" in err
    assert "have the IAM action eks:DescribeCluster allowed\n" in err


def test_a_throttled_call_says_to_wait(refuse):
    code, err = refuse(429, "TooManyRequestsException", "Rate exceeded")

    assert code == exit_codes.UNAVAILABLE
    assert "AWS throttles eks:DescribeCluster in us-east-1 repeatedly (Rate exceeded); try again" in err


@pytest.mark.parametrize("code", ["ExpiredTokenException", "UnrecognizedClientException"])
def test_expired_credentials_say_to_log_in(refuse, code):
    done, err = refuse(403, code, "The security token included in the request is invalid.")

    assert done == exit_codes.DENIED
    assert f"AWS does not accept the credentials ({code}: " in err


def test_a_quota_of_the_account_is_named(refuse):
    code, err = refuse(400, "ResourceLimitExceededException", "You've reached your quota")

    assert code == exit_codes.FAILURE
    assert "an AWS quota is reached (You've reached your quota); request a higher quota" in err


def test_an_error_inside_aws_says_to_try_again(refuse):
    code, err = refuse(503, "ServiceUnavailableException", "down")

    assert code == exit_codes.UNAVAILABLE
    assert "eks:DescribeCluster failed in AWS (down); try again" in err


def test_an_unknown_refusal_is_reported_as_it_is(refuse):
    code, err = refuse(400, "ClientException", "odd")

    assert code == exit_codes.CONFLICT
    assert "AWS refuses eks:DescribeCluster (ClientException: odd)" in err
    assert err.count("\n") == 1
