"""What the server's events are reported with: one value for the result of a job, one for each datum."""

from __future__ import annotations

from typing import NamedTuple


class DatumReport(NamedTuple):
    """What a worker reported about one datum. Times in seconds, sizes in bytes."""

    id: str
    state: str
    reason: str
    download: float
    process: float
    upload: float
    download_bytes: int
    upload_bytes: int
    #: By the worker's clock, seconds since the epoch; 0 when not known.
    started: float
    finished: float


class DatumOrigin(NamedTuple):
    """What datums were run for, and by whom."""

    job_id: str
    claim_id: str
    worker_id: str
    #: Trace of the job (``model.trace``); None without one.
    trace: str | None


class JobReport(NamedTuple):
    """The result of a job."""

    id: str
    state: str
    reason: str
    #: Seconds since the epoch.
    created: float
    finished: float
    total: int
    processed: int
    skipped: int
    failed: int
    recovered: int
    #: Trace of the job (``model.trace``); None without one.
    trace: str | None = None
