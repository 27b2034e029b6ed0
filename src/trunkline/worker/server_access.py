"""How commands reach the server on behalf of their pipeline: variables, and a configuration as pachctl writes it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, NamedTuple

from trunkline.client import address

if TYPE_CHECKING:
    from trunkline.client.trust import Trust


#: Variables of the token and of the path of the configuration.
TOKEN, CONFIG = "PACH_TOKEN", "PACH_CONFIG"


class ServerAccess(NamedTuple):
    """Where the server is."""

    #: As ``client.address`` reads it.
    server: str
    trust: Trust

    def variables(self, token: str) -> dict[str, str]:
        """Return the variables with which the published clients find the server.

        The variables of the address say nothing of TLS or sockets, so they exist only for a plain TCP address.
        """
        place = address.parse(self.server)
        variables = {TOKEN: token}
        if not place.path and not place.tls:
            variables |= {"PACHD_PEER_SERVICE_HOST": place.host, "PACHD_PEER_SERVICE_PORT": str(place.port)}
        return variables

    def config(self, token: str, project: str) -> str:
        """Return the text of a configuration.

        Args:
            token: of the pipeline.
            project: of the pipeline.

        Raises:
            OSError: the certificates of the CA cannot be read.
        """
        place = address.parse(self.server)
        location = str(place) if place.path else f"{'grpcs' if place.tls else 'grpc'}://{place.authority}"
        context = {"pachd_address": location, "session_token": token, "project": project}
        if certificates := self._certificates():
            context["server_cas"] = base64.b64encode(certificates).decode()
        return json.dumps({"v2": {"active_context": "pipeline", "contexts": {"pipeline": context}}}, indent=2)

    def _certificates(self) -> bytes:
        texts = [self.trust.text.encode()]
        for path in self.trust.files:
            with open(path, "rb") as file:
                texts.append(file.read())
        return b"\n".join(filter(None, texts))
