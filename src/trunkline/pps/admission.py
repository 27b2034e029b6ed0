"""Which specifications a server accepts: well formed, and servable by its fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.model import field_support
from trunkline.pps.pipelines import Request, read_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trunkline.model.field_support import Unsupported
    from trunkline.model.spec import Egress, PipelineSpec
    from trunkline.pps.secrets import SecretStore


class Admission:
    """Checks specifications against what this server can run. Blocks.

    Args:
        check_workers: refuses a specification whose workers the fleet can never run.
        secrets: the secrets that commands may use.
        image_notice: returns what users should know about a specification's image on this fleet; empty when nothing.
        unsupported: returns the fields of a specification that the fleet does not honour.
        check_egress: refuses a target that the server does not reach.
    """

    def __init__(
        self,
        check_workers: Callable[[PipelineSpec], None],
        secrets: SecretStore,
        image_notice: Callable[[PipelineSpec], str],
        unsupported: Callable[[PipelineSpec], Mapping[str, Unsupported]],
        check_egress: Callable[[Egress], None],
    ) -> None:
        self._check_workers = check_workers
        self._secrets = secrets
        self._image_notice = image_notice
        self._unsupported = unsupported
        self._check_egress = check_egress

    def admit(self, user: Mapping[str, object], defaults: tuple[str, str]) -> Request:
        """Return a user's specification, complete and checked.

        Args:
            user: the specification.
            defaults: those of the cluster and of the project, as JSON text.

        Raises:
            InvalidArgument: something is wrong with it; the message says what and where.
            Unimplemented: it asks for something that is not built yet.
            NotFound: it needs a secret that does not exist.
            PermissionDenied: the server does not connect to where its egress goes.
        """
        request = read_request(user, defaults)
        field_support.check(request.spec, self._unsupported(request.spec))
        self._check_workers(request.spec)
        self._secrets.check(request.spec)
        if request.spec.egress is not None:
            with errors.at("egress"):
                self._check_egress(request.spec.egress)
        return request

    def notice(self, spec: PipelineSpec) -> str:
        """Return warnings about fields of a spec that have no effect on this fleet."""
        sentences = field_support.warnings(spec, self._unsupported(spec))
        if image := self._image_notice(spec):
            sentences.insert(0, image)
        return "; ".join(sentences)
