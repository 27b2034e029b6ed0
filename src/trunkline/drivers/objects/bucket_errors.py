"""Translates a bucket's errors and says how to fix their cause. Pure functions.

``obstore`` returns the store's answer only as text: status and XML are in the first lines of its messages. The
codes are those of Amazon S3, which other servers use too. For Google and Azure only the status is known.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct
from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from trunkline.errors import FailedPrecondition, PermissionDenied, TrunklineError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
_STATUS = re.compile(r"status code: (\d{3})([^:<\n]*)")
_REGION = re.compile(r"<Region>([\w-]+)</Region>|expecting '([\w-]+)'")
#: Parts of the addresses that credentials are requested from when the environment has none: the metadata
#: services of EC2, then Google and Azure.
_MACHINE = ("/latest/api/token", "/latest/meta-data/", "metadata.google.internal", "/metadata/identity")
#: Codes of bodies that do not have the checksum that was sent with them.
_CHANGED = {"BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest"}
#: How ``obstore`` writes the one request whose URL it hides: to STS, for the role of a service account.
_ASSUMING = "POST REDACTED"

#: Codes of failed authentication.
_IDENTITY = {
    "InvalidAccessKeyId": "the access key is unknown; correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret does not belong to the access key; correct AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the session token has expired; give the server new credentials",
    "InvalidToken": "the session token is not valid; correct AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "this machine's clock is too far from the store's; set it right",
}
_WRONG_REGION = {
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "IllegalLocationConstraintException",
    "TemporaryRedirect",
}
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run the server with a role",
    "gs": "set GOOGLE_SERVICE_ACCOUNT, or run the server with a service account",
    "az": "set AZURE_STORAGE_ACCOUNT_KEY, or run the server with a managed identity",
}
#: The rights that the server needs, as policies name them.
_ACTIONS = {
    "s3": {
        "store": "s3:PutObject",
        "read": "s3:GetObject",
        "delete": "s3:DeleteObject",
        "list": "s3:ListBucket",
    },
    "gs": {
        "store": "storage.objects.create",
        "read": "storage.objects.get",
        "delete": "storage.objects.delete",
        "list": "storage.objects.list",
        "sign": "iam.serviceAccounts.signBlob",
    },
}


class Bucket(Struct, frozen=True):
    """A bucket and the beginning of the keys that are ours."""

    scheme: str
    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}".removesuffix("/")

    def lacks(self, verbs: Sequence[str]) -> str:
        """Return which rights are missing and how to grant them."""
        rights = _ACTIONS.get(self.scheme)
        if rights is None:
            return (
                f"the server may not {_joined(verbs)} objects in {self}; "
                'give its identity the role "Storage Blob Data Contributor" on the container'
            )
        actions = [rights[verb] for verb in verbs if verb in rights]
        if self.scheme == "gs":
            return f"the server lacks {_joined(actions)} on {self}; grant it to its service account"
        grants = []
        below = [action for action in actions if action != "s3:ListBucket"]
        if below:
            grants.append(
                f"{_joined(below)} on arn:aws:s3:::{self.bucket}/{self.prefix + '/' if self.prefix else ''}*"
            )
        if "s3:ListBucket" in actions:
            grants.append(f"s3:ListBucket on arn:aws:s3:::{self.bucket}")
        return (
            f"the server may not {_joined(verbs)} objects in {self}; "
            f"allow {' and '.join(grants)} in the policy of its role or user"
        )


def translate(place: Bucket, verb: str, key: str, error: Exception) -> TrunklineError | None:
    """Return the Trunkline error for an error; None when it is not specific to buckets.

    Args:
        place: the bucket.
        verb: the failed operation, such as ``read``.
        key: the object's key.
        error: an exception of ``obstore``.
    """
    text = str(error).partition("\n\nDebug source")[0]
    code, status = code_of(error), status_of(error)
    doing = f"cannot {verb} object {key!r} in {place}"
    if any(address in text for address in _MACHINE):
        # Retryable: a machine with a role may fail to answer for a moment.
        return Unavailable(
            f"{doing}: no credentials were found, neither in the environment nor from the machine;"
            f" {_CREDENTIALS[place.scheme]}"
        )
    if _ASSUMING in text:
        kind = Unavailable if status is None or status >= 500 else PermissionDenied
        return kind(
            f"{doing}: the role of the server's service account could not be assumed ({brief(text)});"
            " correct AWS_ROLE_ARN or the role's trust policy"
        )
    if code in _IDENTITY:
        return PermissionDenied(f"{doing}: {_IDENTITY[code]} ({code})")
    if code == "NoSuchBucket":
        return FailedPrecondition(f"{doing}: there is no such bucket; create it or name another with --store")
    if code in _WRONG_REGION or "without LOCATION" in text or (status == 301 and place.scheme == "s3"):
        match = _REGION.search(text)
        region = (match[1] or match[2]) if match else ""
        return FailedPrecondition(
            f"{doing}: the bucket is in {f'region {region}' if region else 'another region'}; set AWS_REGION"
            f"{f'={region}' if region else ' to it'} for the server"
        )
    if code in ("AccessDenied", "AllAccessDisabled") or isinstance(
        error, PermissionDeniedError | UnauthenticatedError
    ):
        return PermissionDenied(f"cannot {verb} object {key!r}: {place.lacks([verb])}")
    if code in _CHANGED:
        return Unavailable(f"{doing}: the store received other bytes than were sent ({code}); try again")
    if status is not None and 400 <= status < 500 and status not in (404, 408, 429):
        return FailedPrecondition(
            f"{doing}: the store refused ({brief(text)}); see the store's documentation of this error"
        )
    if status is not None or "error sending request" in text or "HTTP error" in text:
        return Unavailable(f"{doing}: the store failed ({brief(text)}); try again")
    return None


def is_about_rights(error: BaseException | None) -> bool:
    """Return whether a policy of the bucket can grant what was refused."""
    return code_of(error) in ("", "AccessDenied", "AllAccessDisabled") and _ASSUMING not in str(error)


def is_race(error: Exception) -> bool:
    """Return whether a put lost against a concurrent one that may not have been stored."""
    return code_of(error) in ("ConditionalRequestConflict", "OperationAborted")


def code_of(error: BaseException | None) -> str:
    """Return the store's own name of an error; empty when it gave none."""
    match = _CODE.search(str(error))
    return (match[1] or match[2]) if match else ""


def status_of(error: Exception) -> int | None:
    """Return the HTTP status of an answer; None when there was none."""
    match = _STATUS.search(str(error))
    return int(match[1]) if match else None


def brief(text: str) -> str:
    """Return the essential part of an error of ``obstore``: status and code, or what broke."""
    status, code = _STATUS.search(text), _CODE.search(text)
    if status:
        return f"{status[1]}{status[2]}".strip() + (f", {code[1] or code[2]}" if code else "")
    return text.partition("\n")[0].rpartition(" - ")[2].strip()


def _joined(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
