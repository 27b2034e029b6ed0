"""Which URLs and addresses the rules of outbound connections allow."""

from __future__ import annotations

import ipaddress

import pytest

from trunkline.errors import InvalidArgument, PermissionDenied
from trunkline.model import outbound
from trunkline.model.outbound import Rules

PUBLIC = "93.184.215.14"
NOT_PUBLIC = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "169.254.169.254",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
    "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1",
    "2002:7f00:1::", "2002:a00:1::1", "2001:0:1:2:3:4:80ff:fffe", "fec0::1", "100.100.100.200", "168.63.129.16",
]  # fmt: skip
SPECIAL = ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "fd00:ec2::254"]


def checked(rules, url, *addresses):
    target = outbound.parse(url)
    rules = Rules(rules)
    rules.check(target)
    return rules.checked(target, addresses)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_scheme_alone_allows_no_address_that_is_not_public(address):
    with pytest.raises(PermissionDenied):
        checked((), "http://example.org/x", address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_url_that_names_such_an_address_is_refused_before_it_is_used(address):
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(PermissionDenied):
        Rules().check(outbound.parse(f"postgres://user@{host}/words"))


@pytest.mark.parametrize(
    "address", [PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:93.184.215.14"]
)
def test_a_scheme_alone_allows_public_addresses(address):
    assert checked(("https",), "https://example.org/x", address) == [address]


def test_of_several_addresses_only_the_allowed_ones_are_left():
    assert checked((), "http://example.org/x", "10.0.0.1", PUBLIC, "::1") == [PUBLIC]


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "::1", "fc00::1", PUBLIC])
def test_a_rule_with_a_host_allows_its_private_addresses(address):
    assert checked(("http://files.corp",), "http://FILES.corp.:8080/x", address) == [address]


@pytest.mark.parametrize("address", SPECIAL)
def test_a_name_never_reaches_a_special_address(address):
    with pytest.raises(PermissionDenied):
        checked(("http://files.corp",), "http://files.corp/x", address)


def test_a_rule_with_an_address_or_network_allows_even_special_ones():
    assert checked(("http://169.254.169.254",), "http://169.254.169.254/x", "169.254.169.254")
    assert checked(("http://169.254.0.0/16",), "http://any.name/x", "169.254.1.1")
    with pytest.raises(PermissionDenied):
        checked(("http://169.254.0.0/16",), "http://any.name/x", PUBLIC)


@pytest.mark.parametrize(
    ("rule", "url"),
    [
        ("https://example.org", "https://example.org/x"),
        ("https://*.example.org", "https://a.b.example.org/x"),
        ("http://example.org:8080", "http://example.org:8080/x"),
        ("http://[::1]:8080", "http://[::1]:8080/"),
        ("postgres", "postgresql://user@db.example.org/name"),
        ("s3", "s3://bucket/key"),
        ("s3://bucket", "s3://bucket/key"),
        ("s3://bucket/a", "s3://bucket/a/key"),
        ("az", "azblob://container/key"),
        ("file:///srv/in", "file:///srv/in/a%20b"),
        ("file:///srv/in", "file:///srv/in/"),
        ("file:///srv/in/", "file:///srv/in"),
    ],
)
def test_a_rule_allows_what_it_names(rule, url):
    Rules((rule,)).check(outbound.parse(url))


@pytest.mark.parametrize(
    ("rule", "url"),
    [
        ("none", "https://example.org/x"),
        ("https", "http://example.org/x"),
        ("https://example.org", "https://www.example.org/x"),
        ("https://*.example.org", "https://example.org.evil.org/x"),
        ("https://*.example.org", "https://badexample.org/x"),
        ("http://example.org:8080", "http://example.org/x"),
        ("s3://bucket", "s3://bucket2/key"),
        ("s3://bucket/a", "s3://bucket/ab/key"),
        ("file:///srv/in", "file:///srv/inner/a"),
        ("file:///srv/in", "sqlite:///srv/in/a"),
    ],
)
def test_a_rule_allows_nothing_else(rule, url):
    with pytest.raises(PermissionDenied):
        Rules((rule,)).check(outbound.parse(url))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "sqlite:///tmp/x.db"])
def test_files_of_the_server_are_not_allowed_by_default(url):
    with pytest.raises(PermissionDenied):
        Rules().check(outbound.parse(url))


@pytest.mark.parametrize(
    ("store", "url"),
    [
        ("s3://bucket/store", "s3://bucket/store/packs/00/1"),
        ("s3://bucket/store", "s3://bucket/store"),
        ("s3://bucket/store", "s3://bucket"),
        ("s3://bucket/store", "s3://bucket/st"),
        ("s3://bucket", "s3://bucket/any"),
    ],
)
def test_the_servers_own_store_is_never_allowed(store, url):
    with pytest.raises(PermissionDenied):
        Rules(("s3", "s3://bucket"), store).check(outbound.parse(url))


def test_other_places_in_the_bucket_of_the_store_are_allowed():
    Rules((), "s3://bucket/store").check(outbound.parse("s3://bucket/other/key"))


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "example.org/x", "gopher://example.org/", "ftp://example.org/x", "http://", "http:///x",
        "http://example.org:0/", "http://example.org:99999/", "http://exa mple.org/", "http://example.org/\r\nX: y",
        "http://exämple.org/", "http://example.org\\@evil.org/", "s3://", "s3://Bucket/x", "s3://a/x",
        "s3://bucket@evil/x", "s3://bucket#x/y", "s3://b..t/x", "file://host/x", "file:///a/../b", "file:x",
        "file:///a%00b", "https://example.org/" + "x" * 9000,
    ],
)  # fmt: skip
def test_a_url_that_is_not_valid_is_refused(url):
    with pytest.raises(InvalidArgument):
        outbound.parse(url)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "https://",
        "https://host/path",
        "https://user@host",
        "file",
        "file://x",
        "s3://B",
        "http://10.0.0.1/8",
    ],
)
def test_a_rule_that_is_not_valid_is_refused(text):
    with pytest.raises(InvalidArgument):
        Rules((text,))


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@no-such-rule.org/x?token=hunter2#hunter2",
        "http://user:hunter2@:99999/",
        "http://user:hunter2@host:hunter2/",
        "wss://user:hunter2@host/",
        "postgres://user:hunter2@db/name",
    ],
)
def test_no_message_shows_the_credentials_of_a_url(url):
    with pytest.raises((InvalidArgument, PermissionDenied)) as refused:
        Rules(("https",)).check(outbound.parse(url))

    assert "hunter2" not in refused.value.message


def test_an_address_that_only_wraps_another_is_judged_as_that():
    for text in ("::ffff:10.1.2.3", "64:ff9b::a01:203", "2002:a01:203::1", "2001:0:1:2:3:4:f5fe:fdfc"):
        assert str(outbound.plain(ipaddress.ip_address(text))) == "10.1.2.3"
