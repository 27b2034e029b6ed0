"""Sets of specs that are applied, and plans of updates, over ``trunkline.control.v1.Control``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trunkline.pps import apply, spec_checks, spec_defaults
from trunkline.pps.queries import update_plans
from trunkline.rpc import pps_convert
from trunkline.rpc.gen import control_pb2 as pb
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.admission import Admission
    from trunkline.pps.queries.update_plans import UpdatePlan
    from trunkline.pps.spec_cache import Specs
    from trunkline.pps.spec_changes import FieldChange
    from trunkline.rpc.call import Call


class ApplyCalls(ServicerBase):
    """Applies sets of specs and plans updates."""

    _specs: Specs
    _admission: Admission

    async def Apply(self, request: pb.ApplyRequest, call: Call) -> pb.ApplyResponse:
        application = apply.Application(
            specs=[pps_convert.user_json(text) for text in request.specs_json],
            prune=request.prune,
            dry_run=request.dry_run,
            reprocess=request.reprocess,
            basis=request.basis,
        )
        applied = await self._blocking(apply.apply, self._store(call), self._admission, application)
        return pb.ApplyResponse(
            changes=[
                pb.PipelineChange(
                    project=change.project,
                    pipeline=change.name,
                    action=str(change.action),
                    fields=_fields(change.fields),
                )
                for change in applied.changes
            ],
            basis=applied.basis,
            commit_set="" if request.dry_run else applied.set_id,
        )

    async def PlanUpdate(self, request: pb.PlanUpdateRequest, call: Call) -> pb.UpdatePlan:
        return _plan_message(await self._blocking(self._plan, self._store(call), request))

    async def CheckSpec(self, request: pb.CheckSpecRequest, call: Call) -> pb.SpecCheck:
        check = partial(
            spec_checks.check,
            self._store(call),
            self._specs,
            self._admission,
            request.text,
            request.project,
            reprocess=request.reprocess,
        )
        result = await self._blocking(check)
        return pb.SpecCheck(
            code="" if result.mistake is None else result.mistake.code,
            problem="" if result.mistake is None else result.mistake.message,
            spec_json=result.spec_json,
            effective_json=result.effective_json,
            plan=None if result.plan is None else _plan_message(result.plan),
            notice=result.notice,
        )

    def _plan(self, store: VersionedStore, request: pb.PlanUpdateRequest) -> UpdatePlan:
        user = pps_convert.user_json(request.spec_json)
        admitted = self._admission.admit(user, store.read(spec_defaults.for_spec, user))
        return update_plans.plan_update(store, self._specs, admitted, reprocess=request.reprocess)


def _plan_message(plan: UpdatePlan) -> pb.UpdatePlan:
    return pb.UpdatePlan(
        project=plan.project,
        pipeline=plan.name,
        version=plan.version,
        fields=_fields(plan.fields),
        total=plan.total,
        run=plan.run,
        removed=plan.removed,
        causes=[
            pb.PlannedDatums(cause=str(planned.cause), datums=planned.count, examples=planned.examples)
            for planned in plan.causes
        ],
        datum_seconds=plan.datum_seconds,
        workers=plan.workers,
        seconds=plan.seconds,
        dollars=plan.dollars,
    )


def _fields(changes: Iterable[FieldChange]) -> list[pb.FieldChange]:
    return [
        pb.FieldChange(path=change.path, before_json=change.before, after_json=change.after)
        for change in changes
    ]
