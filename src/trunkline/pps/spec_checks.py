"""Checks the text of a spec while it is written: what is wrong with it, or what it would do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trunkline import errors
from trunkline.model import limits, spec_text
from trunkline.pps import spec_defaults
from trunkline.pps.queries import update_plans

if TYPE_CHECKING:
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.admission import Admission
    from trunkline.pps.queries.update_plans import UpdatePlan
    from trunkline.pps.spec_cache import Specs

_SOURCE = "the spec"
#: What is wrong with a text, as opposed to a server that cannot check it now.
_MISTAKES = (
    errors.InvalidArgument,
    errors.NotFound,
    errors.AlreadyExists,
    errors.FailedPrecondition,
    errors.PermissionDenied,
    errors.Unimplemented,
)


class SpecCheck(Struct, frozen=True, kw_only=True):
    """What was noticed.

    Attributes:
        mistake: the first one; None when the spec can be applied.
        spec_json: the spec with its project; empty when the text cannot be parsed.
        effective_json: the spec with defaults; empty with a mistake.
        plan: what applying it would do; None with a mistake.
        notice: fields without effect on this fleet.
    """

    mistake: errors.TrunklineError | None = None
    spec_json: str = ""
    effective_json: str = ""
    plan: UpdatePlan | None = None
    notice: str = ""


def check(
    versions: VersionedStore, specs: Specs, admission: Admission, text: str, project: str, *, reprocess: bool
) -> SpecCheck:
    """Return what is wrong with the text of a spec, or what it would do. Blocks.

    Args:
        versions: the store.
        specs: cache of specifications.
        admission: which specifications the server accepts.
        text: one spec in JSON or YAML.
        project: of a spec that names none.
        reprocess: all datums are to run again.
    """
    spec_json = ""
    try:
        user = _parsed(text, project)
        spec_json = json.dumps(user, ensure_ascii=False)
        request = admission.admit(user, versions.read(spec_defaults.for_spec, user))
        plan = update_plans.plan_update(versions, specs, request, reprocess=reprocess)
    except _MISTAKES as mistake:
        return SpecCheck(mistake=mistake, spec_json=spec_json)
    return SpecCheck(
        spec_json=spec_json,
        effective_json=request.effective_json,
        plan=plan,
        notice=admission.notice(request.spec),
    )


def _parsed(text: str, project: str) -> dict[str, Any]:
    limits.check_text(text, limits.SPEC, _SOURCE)
    specs = spec_text.parse_specs(text, _SOURCE)
    if len(specs) != 1:
        raise errors.InvalidArgument(
            f"the text holds {len(specs)} specs, but one pipeline is edited; leave one"
        )
    [spec] = specs
    pipeline = spec.get("pipeline")
    if project and isinstance(pipeline, dict) and not pipeline.get("project"):
        spec["pipeline"] = {**pipeline, "project": {"name": project}}
    return spec
