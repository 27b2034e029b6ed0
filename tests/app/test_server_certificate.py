"""The certificate of a server: private CA, renewal, and what the settings must say."""

from __future__ import annotations

import asyncio
import shutil
import stat
from pathlib import Path

import pytest
from cryptography import x509
from manual_clock import ManualClock
from patience import eventually_async

from trunkline import errors
from trunkline.app import private_ca, tls
from trunkline.app.settings import Settings
from trunkline.runtime import certificates

DAY = 86_400.0


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def own(tmp_path):
    return private_ca.PrivateCA(tmp_path / "tls", ["localhost", "127.0.0.1", "box"])


class Http:
    """Counts renewals."""

    def __init__(self):
        self.renewals = 0

    async def renew_certificate(self):
        self.renewals += 1


def content(own):
    return own.ca.read_bytes(), own.files.certificate.read_bytes()


def test_the_certificate_is_signed_by_the_ca_and_lists_the_names(own, clock):
    own.renew(clock.now())

    ca = x509.load_pem_x509_certificate(own.ca.read_bytes())
    certificate = x509.load_pem_x509_certificate(own.files.certificate.read_bytes())

    certificate.verify_directly_issued_by(ca)
    assert certificates.check(own.files, clock.now()).names == ("localhost", "box", "127.0.0.1")


def test_only_the_servers_user_can_read_the_keys(own, clock, tmp_path):
    own.renew(clock.now())

    files = [path for path in (tmp_path / "tls").rglob("*") if path.is_file()]

    assert {path.name for path in files} == {"ca.key", "ca.pem", "server.pem"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_nothing_is_made_while_the_certificate_is_current(own, clock):
    own.renew(clock.now())
    before = content(own)

    own.renew(clock.now() + 59 * DAY)

    assert content(own) == before


def test_a_certificate_is_replaced_thirty_days_before_its_end_and_the_ca_stays(own, clock):
    own.renew(clock.now())
    ca, certificate = content(own)

    own.renew(clock.now() + 61 * DAY)

    assert own.ca.read_bytes() == ca
    assert own.files.certificate.read_bytes() != certificate


@pytest.mark.parametrize("damage", ["missing", "empty", "nonsense", "of another CA"])
def test_a_damaged_certificate_is_made_again(own, clock, authority, damage):
    own.renew(clock.now())
    file = own.files.certificate
    match damage:
        case "missing":
            file.unlink()
        case "of another CA":
            pair = authority.issue("localhost", "127.0.0.1", "box")
            file.write_bytes(pair.key.read_bytes() + pair.certificate.read_bytes())
        case _:
            file.write_text("" if damage == "empty" else damage)
    ca = own.ca.read_bytes()

    own.renew(clock.now())

    assert own.ca.read_bytes() == ca
    assert certificates.check(own.files, clock.now()).names


def test_a_new_name_makes_a_new_certificate(own, clock, tmp_path):
    own.renew(clock.now())
    more = private_ca.PrivateCA(tmp_path / "tls", ["localhost", "127.0.0.1", "box", "10.0.0.1"])

    more.renew(clock.now())

    assert "10.0.0.1" in certificates.check(more.files, clock.now()).names


@pytest.mark.parametrize("name", ["ca.key", "public/ca.pem"])
def test_a_ca_that_cannot_be_used_is_replaced_with_a_warning(own, clock, tmp_path, caplog, name):
    own.renew(clock.now())
    (tmp_path / "tls" / name).write_text("nonsense")

    own.renew(clock.now())

    certificate = x509.load_pem_x509_certificate(own.files.certificate.read_bytes())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(own.ca.read_bytes()))
    assert "new_ca" in [getattr(record, "action", "") for record in caplog.records]


@pytest.fixture
def certificate_in_use(authority, tmp_path, clock):
    """A certificate whose files a test replaces."""
    pair = authority.issue("lab.example.org", folder=tmp_path.name)
    return tls.ServerTls(certificates.Files(*pair), authority.file, tmp_path / "tls", clock)


async def watching(certificate_in_use, http):
    task = asyncio.create_task(certificate_in_use.watch(http, interval=0.005))
    await asyncio.sleep(0)
    return task


def actions(caplog):
    return [getattr(record, "action", "") for record in caplog.records]


async def test_new_files_are_used(certificate_in_use, authority):
    http = Http()
    watch = await watching(certificate_in_use, http)

    new = authority.issue("new.example.org")
    shutil.copy(new.certificate, certificate_in_use.files.certificate)
    shutil.copy(new.key, certificate_in_use.files.key)
    await eventually_async(
        lambda: certificate_in_use.name_for("127.0.0.1") == "new.example.org", "the new certificate"
    )

    watch.cancel()
    assert http.renewals >= 1


async def test_files_that_do_not_match_are_logged_once_and_the_old_ones_stay_in_use(
    certificate_in_use, authority, caplog
):
    http = Http()
    watch = await watching(certificate_in_use, http)

    shutil.copy(authority.issue("new.example.org").certificate, certificate_in_use.files.certificate)
    await eventually_async(lambda: "certificate_refused" in actions(caplog), "the error")

    assert http.renewals == 0
    assert certificate_in_use.name_for("127.0.0.1") == "lab.example.org"
    shutil.copy(authority.issue("other.example.org").certificate, certificate_in_use.files.certificate)
    await eventually_async(lambda: actions(caplog).count("certificate_refused") == 2, "the second error")
    watch.cancel()


async def test_a_certificate_that_ends_soon_is_reported_once(certificate_in_use, caplog):
    watch = await watching(certificate_in_use, Http())

    await eventually_async(lambda: "certificate_expires" in actions(caplog), "the warning")

    watch.cancel()
    assert actions(caplog).count("certificate_expires") == 1


async def test_the_private_ca_renews_while_the_server_runs(clock, tmp_path):
    certificate_in_use = tls.of_settings(Settings(data=tmp_path, tls="auto"), clock)
    http = Http()
    watch = await watching(certificate_in_use, http)

    clock.ahead = 61 * DAY
    await eventually_async(lambda: http.renewals == 1, "the renewal")

    watch.cancel()


def test_workers_verify_a_name_that_the_certificate_has(authority, tmp_path, clock):
    def name(*names, host):
        pair = authority.issue(*names)
        return tls.ServerTls(certificates.Files(*pair), None, tmp_path / "tls", clock).name_for(host)

    assert name("lab.example.org", "127.0.0.1", host="127.0.0.1") == "127.0.0.1"
    assert name("lab.example.org", host="127.0.0.1") == "lab.example.org"
    assert name("*.example.org", host="127.0.0.1") == "trunkline.example.org"


def test_the_ca_beside_the_certificate_is_what_workers_trust(authority, tmp_path, clock):
    pair = authority.issue("lab.example.org")
    shutil.copy(authority.file, pair.certificate.with_name("ca.crt"))

    certificate_in_use = tls.of_settings(
        Settings(data=tmp_path, tls_cert=pair.certificate, tls_key=pair.key), clock
    )

    assert certificate_in_use.trusted.read_bytes() == authority.file.read_bytes()
    assert certificate_in_use.has_ca


def test_the_names_of_tls_auto_are_where_the_server_is_reached(tmp_path, clock):
    settings = Settings(
        data=tmp_path,
        tls="auto",
        listen=("0.0.0.0:1", "10.0.0.7:1", f"unix:{tmp_path}/t.sock"),
        advertise="trunkline.lab:30650",
        allow_hosts=("data.example.org",),
    )

    certificate_in_use = tls.of_settings(settings, clock)

    names = certificates.check(certificate_in_use.files, clock.now()).names
    assert {"localhost", "127.0.0.1", "::1", "10.0.0.7", "trunkline.lab", "data.example.org"} <= set(names)
    assert "0.0.0.0" not in names


@pytest.mark.parametrize(
    "settings",
    [
        {"tls_cert": Path("/c")},
        {"tls_key": Path("/k")},
        {"tls_ca": Path("/a")},
        {"tls": "auto", "tls_cert": Path("/c")},
        {"tls_cert": Path("/c"), "tls_key": Path("/k")},
    ],
)
def test_settings_that_do_not_fit_together_are_refused(tmp_path, clock, settings):
    with pytest.raises(errors.InvalidArgument, match="--tls"):
        tls.of_settings(Settings(data=tmp_path, **settings), clock)
