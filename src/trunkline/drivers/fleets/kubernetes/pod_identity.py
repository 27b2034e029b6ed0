"""Verifies that a call comes from a worker's own pod: projected service account tokens, checked offline.

The kubelet gives each worker pod a token with the audience "trunkline" and renews it. The token names the pod,
and Kubernetes signs it. The signature is verified with the cluster's public keys, which are fetched once and
again when a token names an unknown key, so no call of a worker costs a call of the Kubernetes API.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import jwt
from msgspec import Struct

from trunkline import errors
from trunkline.drivers.fleets.kubernetes import client as kube
from trunkline.drivers.fleets.kubernetes.pods import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.drivers.fleets.kubernetes.informer_cache import InformerCache

#: Signatures that Kubernetes makes; never a symmetric one, whose key would be the public key.
_ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
#: Seconds by which the clocks of the server and the API server may differ.
_LEEWAY = 60.0
#: Seconds between two fetches of the keys, so that forged tokens with unknown keys cost no more calls.
_REFRESH_PAUSE = 10.0
#: Verified tokens that are remembered.
_CACHED = 10_000
_KEYS, _DISCOVERY = "/openid/v1/jwks", "/.well-known/openid-configuration"


class _Verified(Struct, frozen=True):
    """What a verified token says."""

    pod: str
    uid: str
    #: Seconds since the epoch.
    expires: float


class PodIdentity:
    """Implements ``ports.WorkerIdentity``. Used from the event loop's thread; fetches in the connection's."""

    def __init__(self, connection: kube.Connection, cache: InformerCache, namespace: str) -> None:
        """Fetch the keys.

        Args:
            connection: the connection to the API server.
            cache: knows the pod of each worker.
            namespace: the workers' namespace.

        Raises:
            FailedPrecondition: the server may not read the keys, or the cluster does not publish them.
            Unavailable: the API server does not answer.
        """
        self._connection = connection
        self._cache = cache
        self._namespace = namespace
        self._issuer = ""
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at = 0.0  # monotonic
        #: By digest of the token.
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        try:
            connection.run(self._fetch())
        except kube.FAILURES as error:
            raise self._unavailable(error) from error

    async def verify(self, worker_id: str, token: str) -> None:
        """Check that a token belongs to the pod of a worker; see ``ports.WorkerIdentity``."""
        digest = hashlib.sha256(token.encode()).digest()
        verified = self._verified.get(digest)
        if verified is None or verified.expires + _LEEWAY < time.time():
            verified = await self._decode(worker_id, token)
            self._verified[digest] = verified
            while len(self._verified) > _CACHED:
                self._verified.popitem(last=False)
        pod = self._cache.pod_of(worker_id)
        if pod is None:
            raise errors.Unauthenticated(
                f"worker {worker_id or '(none)'} has no pod (any more); it must exit"
            )
        if not pod.uid:
            raise errors.Unavailable(f"the pod of worker {worker_id} was not reported yet; try again")
        if (verified.pod, verified.uid) != (pod.name, pod.uid):
            raise errors.Unauthenticated(
                f"the token is that of pod {verified.pod}, but worker {worker_id} is in pod {pod.name}"
            )

    async def _decode(self, worker_id: str, token: str) -> _Verified:
        refused = f"the token of worker {worker_id or '(none)'} is not valid"
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name] if key.algorithm_name in _ALGORITHMS else [],
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=_LEEWAY,
                options={"require": ["aud", "exp", "iss", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise errors.Unauthenticated(f"{refused}: {error}") from error
        bound = claims.get("kubernetes.io")
        pod = bound.get("pod") if isinstance(bound, dict) else None
        if not isinstance(bound, dict) or not isinstance(pod, dict):
            raise errors.Unauthenticated(f"{refused}: it is not bound to a pod")
        if bound.get("namespace") != self._namespace:
            raise errors.Unauthenticated(
                f"{refused}: its pod is in namespace {bound.get('namespace')}, and workers are in {self._namespace}"
            )
        return _Verified(str(pod.get("name", "")), str(pod.get("uid", "")), float(claims["exp"]))

    async def _key(self, key_id: str) -> jwt.PyJWK:
        """Return a key of the cluster, after a fetch when it is not known.

        Raises:
            jwt.PyJWTError: the cluster has no such key.
            Unavailable: the keys cannot be fetched.
        """
        if key_id not in self._keys and time.monotonic() - self._fetched_at > _REFRESH_PAUSE:
            try:
                await asyncio.wrap_future(self._connection.submit(self._fetch()))
            except kube.FAILURES as error:
                raise self._unavailable(error) from error
        try:
            return self._keys[key_id]
        except KeyError:
            raise jwt.InvalidTokenError("it is signed with a key that the cluster does not publish") from None

    async def _fetch(self) -> None:
        self._fetched_at = time.monotonic()
        discovery = await self._connection.get(_DISCOVERY)
        published = await self._connection.get(_KEYS)
        keys = {}
        for each in published.get("keys", ()):
            key = jwt.PyJWK(each)
            if key.key_id:
                keys[key.key_id] = key
        self._issuer, self._keys = str(discovery.get("issuer", "")), keys

    def _unavailable(self, error: Exception) -> errors.TrunklineError:
        if kube.code(error) in (401, 403, 404):
            return errors.FailedPrecondition(
                f"the server may not read the keys that sign workers' tokens ({kube.message(error)}); bind its "
                "service account to the ClusterRole system:service-account-issuer-discovery"
            )
        return errors.Unavailable(
            f"the keys that sign workers' tokens cannot be read: {kube.message(error)}; try again"
        )
