"""The limits on what a client or a command may create, with their values, in one table.

A limit is an integer with a unit and a description; ``docs/reference/limits.md`` is the same table for users, and a
test compares the two. Code that receives a text, a list, a number or a tree from outside checks it against these limits
before it uses it. The functions below raise the one error message of their kind.

Values are chosen so that real use stays below them and so that a server with 4 GiB of memory survives the largest
allowed input. They are not settings: clients and other servers rely on them. Those of the port are (``port_limits``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping


class Limit(int):
    """A limit: its value, its unit and what it applies to."""

    unit: str
    bounds: str

    def __new__(cls, value: int, unit: str, bounds: str) -> Limit:
        """Make a limit.

        Args:
            value: the largest allowed value.
            unit: what is counted, in the plural.
            bounds: what the limit applies to, and the reason for its value unless it is obvious.
        """
        limit = super().__new__(cls, value)
        limit.unit = unit
        limit.bounds = bounds
        return limit


# --- names and paths -----------------------------------------------------------------------------------

NAME = Limit(128, "characters", "the name of a repo, branch or input; every datum names its repo and branch")
PIPELINE_NAME = Limit(
    51,
    "characters",
    "the name of a project or pipeline; a Kubernetes label holds 63, less `-v` and a version",
)
WORKER_NAME = Limit(63, "characters", "`<project>-<pipeline>-v99`, which names Kubernetes objects")
IMAGE_NAME = Limit(512, "characters", "an image name: 255 in container registries, then tag and digest")
PATH_ELEMENT = Limit(255, "bytes", "one name in a path, as in common file systems")
PATH = Limit(
    3_500, "bytes", "a file's path; 4,096 on Linux, less the folder of the datum and the input's name"
)
PATH_DEPTH = Limit(255, "names", "the depth of a path")
GLOB = Limit(1_000, "characters", "a glob")
GLOB_DEPTH = Limit(10, "groups", "groups within groups of a glob")
GLOB_SEARCHES = Limit(
    8, "groups", "`*( )`, `+( )` and `!( )` of a glob that has a `!( )`; each costs time for every file"
)
GLOB_STEPS = Limit(
    100_000, "steps", "the search for `*( )`, `+( )` and `!( )` in one path, some 30 milliseconds"
)
ANCESTRY_STEPS = Limit(100, "steps", "`^`, `~` and `.` behind a branch or commit")

# --- texts ---------------------------------------------------------------------------------------------

DESCRIPTION = Limit(64 << 10, "bytes", "a description of a project, repo, commit or pipeline")
REASON = Limit(
    64 << 10,
    "bytes",
    "the error given to `FinishCommit`, the reason given to `StopJob`; a worker's reason is cut",
)
METADATA = Limit(256 << 10, "bytes", "all metadata of one object, keys and values together")
LOG_QUERY = Limit(8 << 10, "bytes", "a query for log lines")

PROGRAM = Limit(256 << 10, "bytes", "a jq filter, a jsonnet template or an argument of one")

# --- connections to other servers ----------------------------------------------------------------------

URL = Limit(8 << 10, "bytes", "a URL that files come from or go to")
URL_BYTES = Limit(200 << 30, "bytes", "a file that is fetched from a URL")
URL_TIME = Limit(6 * 3600, "seconds", "the time to fetch one file from a URL")
URL_TRANSFERS = Limit(16, "transfers", "transfers from and to URLs, and egresses, at the same time")
URL_CONCURRENCY = Limit(64, "objects", "`concurrency` of a URL source; more has no effect")
IMPORTS = Limit(
    64, "imports", "files that a jsonnet template imports from URLs; each is as long as a template"
)
EGRESS_RECORD = Limit(16 << 20, "bytes", "one row in a CSV or JSON file that goes to a database")

# --- pipeline specs ------------------------------------------------------------------------------------

SPEC = Limit(1 << 20, "bytes", "a pipeline spec as JSON; every list of pipelines carries it several times")
SPEC_DEPTH = Limit(50, "levels", "objects within objects of a spec")
SPEC_LIST = Limit(10_000, "items", "any list in a spec")
SPEC_MAP = Limit(1_000, "items", "any map in a spec, such as `transform.env`")
SPEC_DIGITS = Limit(40, "digits", "a number in a spec")
INPUTS = Limit(64, "inputs", "pfs and cron inputs of a pipeline; each is a branch that starts jobs")
SCHEDULE = Limit(1_000, "bytes", "a schedule of a cron input or trigger")
MISSED_TICKS = Limit(
    1_000,
    "ticks",
    "ticks between the `start` of the cron input of a new pipeline and now; each is a commit and a job",
)
ARGUMENT = Limit(131_071, "bytes", "one argument or `NAME=value` of a command, as in Linux")
WORKERS = Limit(10_000, "workers", "`parallelism_spec.constant`")
DATUM_TRIES = Limit(1_000, "tries", "`datum_tries`")
TIMEOUT = Limit(315_360_000, "seconds", "a timeout: ten years")
CPU = Limit(10_000, "CPUs", "`cpu` and `gpu.number` of resource requests and limits")
MEMORY = Limit(1 << 50, "bytes", "`memory` and `disk` of resource requests and limits")

SECRET_NAME = Limit(253, "bytes", "the name of a secret, as in Kubernetes")
SECRET = Limit(1 << 20, "bytes", "keys and values of a secret together, as in Kubernetes")

# --- requests ------------------------------------------------------------------------------------------

REQUEST_LIST = Limit(10_000, "items", "any list in a request that is one message")
JSON_VALUES = Limit(
    100_000,
    "commas and brackets",
    "one message in JSON, those in its texts included; each stands for a value, which takes 10 microseconds to read",
)
PAGE = Limit(1_000, "rows", "a page of a list of the service Console")
LOG_WINDOW = Limit(2_000, "lines", "`before` and `after` of `ReadLog`")
PAGE_END = Limit(1 << 31, "items", "the end of a page of a list, its size times its number")
LOG_TAIL = Limit(
    1_000_000, "lines", "`tail` of `GetLogs`; the lines are held in memory until the last one came"
)
LINEAGE = Limit(100_000, "datums", "`number` of `ExplainFile`, which remembers the datums that it has shown")

# --- machines that join --------------------------------------------------------------------------------

WORKER_TOKENS = Limit(1_000, "tokens", "worker tokens that are valid; they are read together")
SLOTS = Limit(1_000, "workers", "workers that one joined machine takes")

# --- transactions --------------------------------------------------------------------------------------

OPEN_TRANSACTIONS = Limit(1_000, "transactions", "transactions that are started and not finished")
TRANSACTION_REQUESTS = Limit(
    500,
    "requests",
    "a transaction; each that is added runs those before it again, a millisecond each of the writer's time",
)
TRANSACTION_BYTES = Limit(
    10 << 20, "bytes", "requests of all open transactions together; one answer lists them all"
)
TRANSACTION_DELETED_COMMITS = Limit(
    1_000, "commits", "commits of the repos that a transaction deletes, which happens in one write"
)

# --- data ----------------------------------------------------------------------------------------------

DATUMS = Limit(
    5_000_000,
    "datums",
    "datums of a job, and of an input that `ListDatum` previews; a cross multiplies its sides",
)
DATUM_ITEMS = Limit(
    20_000_000,
    "items",
    "files and folders of all datums of a job together, which is what its plan has to write",
)
FILE_CHUNKS = Limit(1_000_000, "chunks", "chunks of a file, which has one terabyte then")
DATUM_OUTPUTS = Limit(10_000_000, "files", "files that one datum writes; a datum with more fails")
OUTPUT_BYTES = Limit(200 << 30, "bytes", "a file that a datum writes; its list of chunks fits one message")
LINKED_FOLDERS = Limit(
    100_000, "folders reached by links", "the output of a datum; a few links can make millions of paths"
)
IMAGE_FILES = Limit(100_000, "files", "files that an image brings")
IMAGE_BYTES = Limit(256 << 20, "bytes", "content of the files that an image brings; data belongs in repos")

LOAD_TEST_FILES = Limit(100_000, "files", "files that a load test puts; it remembers their names")
LOAD_TEST_BYTES = Limit(100 << 30, "bytes", "files that a load test puts, if all have their largest size")
LOAD_TEST_DEPTH = Limit(50, "folders", "folders above a file of a load test; each has a name of 32 letters")
LOAD_TEST_NODES = Limit(100, "lines", "repos and pipelines of the graph of a load test")


#: Every limit by its name.
TABLE: dict[str, Limit] = {name: value for name, value in globals().items() if isinstance(value, Limit)}


def check_text(text: str, limit: Limit, what: str) -> str:
    """Return a text that is within its limit of bytes.

    Args:
        text: a text that a client or a command chose.
        limit: the most bytes of its UTF-8 form.
        what: what the text is; the message begins with it.

    Raises:
        InvalidArgument: it is longer.
    """
    # At most four bytes a character, so that nearly every text is within its limit without being encoded.
    if 4 * len(text) > limit:
        size = len(text.encode(errors="replace"))
        if size > limit:
            raise beyond(what, size, limit, "shorten it")
    return text


def cut_text(text: str, limit: Limit) -> str:
    """Return a text, shortened to its limit of bytes: for text that can no longer be refused.

    Args:
        text: a text that is stored or shown whatever its length.
        limit: the most bytes of its UTF-8 form.
    """
    if 4 * len(text) <= limit:
        return text
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= limit else encoded[: limit - 3].decode(errors="ignore") + "…"


def check_metadata(metadata: Mapping[str, str], what: str) -> None:
    """Check that the metadata of an object is within its limit.

    Raises:
        InvalidArgument: keys and values together exceed the limit.
    """
    size = sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items())
    if size > METADATA:
        raise beyond(f"the metadata of {what}", size, METADATA, "remove keys or shorten values")


def check_count(count: int, limit: Limit, what: str, remedy: str) -> None:
    """Check a number that counts something.

    Args:
        count: the counted number.
        limit: the largest allowed number.
        what: what has that many; the message begins with it.
        remedy: how to get below the limit.

    Raises:
        InvalidArgument: it is larger.
    """
    if count > limit:
        raise beyond(what, count, limit, remedy)


def beyond(what: str, size: int, limit: Limit, remedy: str) -> InvalidArgument:
    """Return the error for something that exceeds its limit.

    Args:
        what: what is too large.
        size: how large it is.
        limit: the exceeded limit, with its unit.
        remedy: how to get below it.
    """
    return InvalidArgument(f"{what} has {size:,} {limit.unit}, the limit is {limit:,}; {remedy}")
