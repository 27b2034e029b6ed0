"""What the fields of specs mean that are not about inputs or workers; see ``spec_help``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.model import limits
from trunkline.model.spec import (
    DatumSetSpec,
    Determined,
    Egress,
    ObjectStorageEgress,
    ParallelismSpec,
    Pipeline,
    PipelineSpec,
    Project,
    Service,
    Spout,
    SqlDatabaseEgress,
    SqlFileFormat,
    SqlSecret,
    TfJob,
)
from trunkline.model.spec_help_entry import PODS_ONLY, Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

_CMD = {"cmd": ["python3", "/edges.py"]}
_DURATION = "a duration such as `90s` or `1h30m`"
_TEN_YEARS = f"0 to {limits.TIMEOUT:,} seconds"
_PORT = "1 to 65,535"
_TABLE = {"url": "postgresql://etl@db.example.org:5432/shop"}
_CSV = {"type": "CSV", "columns": ["id", "price"]}

PIPELINE: Mapping[type, Mapping[str, Entry]] = {
    PipelineSpec: {
        "pipeline": Entry(
            "The pipeline's name and project. Its output repo has the same name.",
            {"pipeline": {"name": "edges"}},
            mistake={"pipeline": {"name": ""}},
        ),
        "tf_job": Entry(
            "Refused, as in every version of Pachyderm.",
            {"tf_job": {"tf_job": "{}"}},
            mistake={"tf_job": {"tf_job": "{}"}},
        ),
        "transform": Entry(
            "The command that runs for each datum, and its image.",
            {"transform": _CMD},
            mistake={"transform": {"cmd": []}},
        ),
        "parallelism_spec": Entry(
            "The number of workers; with `autoscaling` the maximum.",
            {"parallelism_spec": {"constant": 4}},
            default="one worker",
        ),
        "egress": Entry(
            "Copies the output of each job to an object store or into a database.",
            {"egress": {"URL": "s3://results/edges"}},
            "The job is EGRESSING meanwhile. What the target refuses for good fails the job.",
            mistake={"egress": {}},
        ),
        "update": Entry(
            "Option of the request: change a pipeline that exists. `update pipeline` sets it.",
            {"update": True},
        ),
        "output_branch": Entry(
            "Branch of the output repo that gets the commits of the jobs.",
            {"output_branch": "results"},
            default='"master"',
            mistake={"output_branch": "a b"},
        ),
        "s3_out": Entry(
            "Take outputs by S3 instead of from `/pfs/out`. Not built: it is refused.",
            {"s3_out": True},
            mistake={"s3_out": True},
        ),
        "resource_requests": Entry(
            "Memory, processors and accelerators that a worker needs before it starts.",
            {"resource_requests": {"memory": "512Mi", "cpu": 1}},
            "A worker that does not fit waits, and says for what.",
        ),
        "resource_limits": Entry(
            "The most that the command of a worker may use.",
            {"resource_limits": {"memory": "1Gi"}},
            "A command that uses more memory is ended, and its attempt fails.",
        ),
        "sidecar_resource_requests": Entry(
            "The requests of the container in which the worker itself runs.",
            {"sidecar_resource_requests": {"memory": "128Mi"}},
            fleets=PODS_ONLY,
        ),
        "sidecar_resource_limits": Entry(
            "The limits of the container in which the worker itself runs.",
            {"sidecar_resource_limits": {"memory": "256Mi"}},
            fleets=PODS_ONLY,
        ),
        "input": Entry(
            "Where datums come from. Exactly one of its fields is set.",
            {"input": {"pfs": {"repo": "images", "glob": "/*"}}},
            "Only a spout has no input.",
            mistake={"input": {}},
        ),
        "description": Entry(
            "A text for people.",
            {"description": "Finds the edges in each image."},
            range=f"at most {limits.DESCRIPTION:,} bytes",
        ),
        "reprocess": Entry(
            "Option of an update: run all datums again. `update pipeline --reprocess` sets it.",
            {"reprocess": True},
            "Without it an update runs only datums that the earlier versions have not processed.",
        ),
        "service": Entry(
            "Makes the command a server that runs without end and answers on a port.",
            {"service": {"internal_port": 8000, "external_port": 30800}},
            "`/pfs` has the newest commits of the input. The pipeline has one worker.",
            mistake={"service": {"internal_port": 8000}},
        ),
        "spout": Entry(
            "Makes the command a program that runs without end and commits what it receives.",
            {"spout": {}},
            "A spout has no input, no jobs and one worker.",
            mistake={"spout": {}, "autoscaling": True},
        ),
        "datum_set_spec": Entry(
            "How many datums a worker claims at a time.",
            {"datum_set_spec": {"number": 10}},
            default="by the time that datums take: many at first, few towards the end",
        ),
        "datum_timeout": Entry(
            "Time after which an attempt of a datum is ended and counts as failed.",
            {"datum_timeout": "10m"},
            default="no limit",
            unit=_DURATION,
            range=_TEN_YEARS,
            mistake={"datum_timeout": "ten minutes"},
        ),
        "job_timeout": Entry(
            "Time after which a job is killed, counted from its start.",
            {"job_timeout": "2h"},
            default="no limit",
            unit=_DURATION,
            range=_TEN_YEARS,
            mistake={"job_timeout": "-1s"},
        ),
        "maximum_expected_uptime": Entry(
            "With `autoscaling`: workers that run longer cause an alert.",
            {"autoscaling": True, "maximum_expected_uptime": "24h"},
            "`check status` prints alerts. Nothing is ended.",
            default="no alert",
            unit=_DURATION,
            range=_TEN_YEARS,
            mistake={"maximum_expected_uptime": "24h"},
        ),
        "salt": Entry(
            "Part of the hash of each datum: another salt makes all datums run again.",
            {"salt": "2026-11"},
            default="chosen by the server",
        ),
        "datum_tries": Entry(
            "How often a datum is tried before it has failed, and its job with it.",
            {"datum_tries": 5},
            default="3",
            unit="attempts",
            range=f"1 to {limits.DATUM_TRIES:,}",
            mistake={"datum_tries": 0},
        ),
        "scheduling_spec": Entry(
            "Which Kubernetes nodes may run workers.",
            {"scheduling_spec": {"node_selector": {"disk": "ssd"}}},
            fleets=PODS_ONLY,
        ),
        "pod_spec": Entry(
            "Part of a Kubernetes pod spec, as JSON text, merged over that of each worker.",
            {"pod_spec": '{"terminationGracePeriodSeconds": 120}'},
            fleets=PODS_ONLY,
            unit="JSON text of an object",
            mistake={"pod_spec": "[]"},
        ),
        "pod_patch": Entry(
            "JSON patch (RFC 6902), as text, applied to the pod of each worker.",
            {"pod_patch": '[{"op":"add","path":"/spec/hostIPC","value":false}]'},
            fleets=PODS_ONLY,
            unit="JSON text of a list",
            mistake={"pod_patch": '[{"op": "set", "path": "/spec"}]'},
        ),
        "spec_commit": Entry(
            "Ignored: the server sets it.",
            {"spec_commit": {"id": "0123456789ab40cdb123456789abcdef"}},
        ),
        "metadata": Entry(
            "Annotations and labels of the pipeline's Kubernetes objects; some annotations are settings.",
            {"metadata": {"annotations": {"trunkline.dev/priority": "10"}}},
        ),
        "reprocess_spec": Entry(
            "Whether each job runs all datums, or only those without a successful result.",
            {"reprocess_spec": "every_job"},
            default='"until_success"',
            range="until_success, every_job",
            mistake={"reprocess_spec": "always"},
        ),
        "autoscaling": Entry(
            "Starts workers when there is work and ends them when there is none.",
            {"autoscaling": True, "parallelism_spec": {"constant": 8}},
            "`parallelism_spec.constant` is the maximum.",
        ),
        "tolerations": Entry(
            "Kubernetes taints that the workers tolerate.",
            {"tolerations": [{"key": "gpu", "operator": "EXISTS", "effect": "NO_SCHEDULE"}]},
            fleets=PODS_ONLY,
            mistake={"tolerations": [{"key": "gpu", "operator": "EXISTS", "value": "yes"}]},
        ),
        "dry_run": Entry(
            "Option of the request: check the spec and change nothing. `--dry-run` sets it.",
            {"dry_run": True},
        ),
        "determined": Entry(
            "Refused: there is no Determined cluster to give access to.",
            {"determined": {"workspaces": ["lab"]}},
            mistake={"determined": {"workspaces": ["lab"]}},
        ),
    },
    Pipeline: {
        "project": Entry(
            "The project that the pipeline belongs to.",
            {"name": "edges", "project": {"name": "default"}},
            default="the project in use, else `default`",
        ),
        "name": Entry(
            "The pipeline's name, which is also that of its output repo.",
            {"name": "edges"},
            default="required",
            range=f"1 to {limits.PIPELINE_NAME} letters, digits, `-` and `_`",
            mistake={"name": "my edges"},
        ),
    },
    Project: {
        "name": Entry(
            "The project's name.",
            {"name": "art"},
            default='"default"',
            range=f"1 to {limits.PIPELINE_NAME} letters, digits, `-` and `_`",
            mistake={"name": "my art"},
        ),
    },
    ParallelismSpec: {
        "constant": Entry(
            "The number of workers; with `autoscaling` the maximum.",
            {"constant": 4},
            default="1",
            unit="workers",
            range=f"1 to {limits.WORKERS:,}",
            mistake={"constant": 0},
        ),
    },
    Egress: {
        "url": Entry(
            "Object store that gets the files. Written `URL`; the same as `object_storage.url`.",
            {"URL": "s3://results/edges"},
            unit="a URL such as `s3://BUCKET/PREFIX`",
            mistake={"URL": "s3://results", "object_storage": {"url": "s3://results"}},
        ),
        "object_storage": Entry(
            "Copies the files to an object store.",
            {"object_storage": {"url": "s3://results/edges"}},
            mistake={"object_storage": {}},
        ),
        "sql_database": Entry(
            "Writes the rows of the files into tables of a database.",
            {"sql_database": {**_TABLE, "file_format": _CSV, "secret": {"name": "db", "key": "password"}}},
            "The first name of a path is the table. All rows of a table are replaced, all tables in one transaction.",
            mistake={"sql_database": {"url": ""}},
        ),
    },
    ObjectStorageEgress: {
        "url": Entry(
            "Bucket, and the prefix of the names of the objects.",
            {"url": "s3://results/edges"},
            default="required",
            unit="a URL such as `s3://BUCKET/PREFIX`",
            mistake={"url": ""},
        ),
    },
    SqlDatabaseEgress: {
        "url": Entry(
            "The database, without its password.",
            _TABLE,
            default="required",
            unit="a URL such as `postgresql://USER@HOST:PORT/DATABASE`; also `mysql` and `sqlite`",
            mistake={"url": ""},
        ),
        "file_format": Entry(
            "How the files hold rows.",
            {**_TABLE, "file_format": _CSV},
            default="required",
        ),
        "secret": Entry(
            "Secret with the password of the database.",
            {**_TABLE, "file_format": _CSV, "secret": {"name": "db", "key": "password"}},
        ),
    },
    SqlFileFormat: {
        "type": Entry(
            "Format of the files. PARQUET is refused when the pipeline is created.",
            {"type": "CSV"},
            default="required",
            mistake={"type": "XML"},
        ),
        "columns": Entry(
            "Names of the columns, in the order of the files.",
            {"type": "CSV", "columns": ["id", "price"]},
            "In a CSV file the first line must then name them.",
            default="the columns of the table",
        ),
    },
    SqlSecret: {
        "name": Entry("Name of the secret.", {"name": "db", "key": "password"}),
        "key": Entry("Key of the secret that holds the password.", {"name": "db", "key": "password"}),
    },
    Service: {
        "internal_port": Entry(
            "Port that the program listens on.",
            {"internal_port": 8000, "external_port": 30800},
            default="required",
            range=_PORT,
            mistake={"internal_port": 0, "external_port": 30800},
        ),
        "external_port": Entry(
            "Port that clients use.",
            {"internal_port": 8000, "external_port": 30800},
            "On a fleet of processes or containers it is a port of 127.0.0.1.",
            default="required",
            range=_PORT,
            mistake={"internal_port": 8000, "external_port": 70000},
        ),
        "ip": Entry(
            "Ignored: no address can be chosen.",
            {"internal_port": 8000, "external_port": 30800, "ip": "10.0.0.7"},
        ),
        "type": Entry(
            "Type of the Kubernetes service.",
            {"internal_port": 8000, "external_port": 30800, "type": "ClusterIP"},
            default='"NodePort"',
            range="NodePort, ClusterIP, LoadBalancer",
            mistake={"internal_port": 8000, "external_port": 30800, "type": "Public"},
        ),
    },
    Spout: {
        "service": Entry(
            "A port on which the spout's program answers.",
            {"service": {"internal_port": 8000, "external_port": 30800}},
        ),
    },
    DatumSetSpec: {
        "number": Entry(
            "Datums that a worker claims at a time.",
            {"number": 10},
            unit="datums",
            range="1 or more",
            mistake={"number": -1},
        ),
        "size_bytes": Entry(
            "Bytes of input that a worker claims at a time; `number` has precedence.",
            {"size_bytes": 100_000_000},
            unit="bytes",
            range="1 or more",
            mistake={"size_bytes": -1},
        ),
        "per_worker": Entry(
            "Claims into which a worker's share of the datums is cut.",
            {"per_worker": 8},
            default="4, and by the time that datums take",
            unit="claims",
            range="1 or more",
            mistake={"per_worker": -1},
        ),
    },
    Determined: {
        "workspaces": Entry(
            "Refused, as `determined` is.", {"workspaces": ["lab"]}, mistake={"workspaces": ["lab"]}
        ),
    },
    TfJob: {
        "tf_job": Entry("Refused, as `tf_job` is.", {"tf_job": "{}"}, mistake={"tf_job": "{}"}),
    },
}
