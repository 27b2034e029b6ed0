"""Which specifications a server accepts: well formed, and servable by its fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.pps.pipelines import Request, read_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trunkline.model.spec import PipelineSpec
    from trunkline.pps.secrets import SecretStore


class Admission:
    """Checks specifications against what this server can run. Blocks.

    Args:
        check_workers: refuses a specification whose workers the fleet can never run.
        secrets: the secrets that commands may use.
        image_notice: returns what users should know about an image name on this fleet; empty when nothing.
    """

    def __init__(
        self,
        check_workers: Callable[[PipelineSpec], None],
        secrets: SecretStore,
        image_notice: Callable[[str], str],
    ) -> None:
        self._check_workers = check_workers
        self._secrets = secrets
        self._image_notice = image_notice

    def admit(self, user: Mapping[str, object]) -> Request:
        """Return a user's specification, complete and checked.

        Raises:
            InvalidArgument: something is wrong with it; the message says what and where.
            Unimplemented: it asks for something that is not built yet.
            NotFound: it needs a secret that does not exist.
        """
        request = read_request(user)
        self._check_workers(request.spec)
        self._secrets.check(request.spec)
        return request

    def image_notice(self, image: str | None) -> str:
        """Return what users should know about a pipeline's image on this fleet; empty when nothing."""
        return self._image_notice(image) if image is not None else ""
