"""Addresses of the handbook's pages: everything that links to the handbook takes them from here.

The server serves the handbook of its own version at ``/docs/`` (``rpc.asgi.handbook``). A test requires that each page
named here exists, so a page that moves is renamed here too. Commands import this module at each start, so it imports
nothing.
"""

#: First name of the paths of pages.
MOUNT = "docs"

INDEX = ""
COMMANDS = "reference/cli/"
DEBUG_DATUM = "how-to/debug-datum/"
DIFFERENCES = "from/differences/"
LIMITS = "reference/limits/"
REFERENCES = "reference/references/"
SECURITY = "operate/security/"
SPEC = "reference/spec/"
TROUBLESHOOTING = "operate/troubleshooting/"
NOT_FOUND = f"{TROUBLESHOOTING}#does-not-exist"
TIME_LIMIT = f"{TROUBLESHOOTING}#the-time-limit-was-reached"


def page_of_command(*words: str) -> str:
    """Return the page of a command, such as ``reference/cli/list-job/`` for ``list job``."""
    return f"{COMMANDS}{'-'.join(words)}/"


def page_of_topic(name: str) -> str:
    """Return the page of a topic of help, such as ``reference/exit-codes/``."""
    return f"reference/{name}/"


def page_of_field(path: str) -> str:
    """Return the section of a field of a spec, such as ``input.pfs.glob``."""
    return f"{SPEC}#{path.replace('.', '')}"


def address_of(server: str, page: str = INDEX, *, tls: bool = False) -> str:
    """Return the address of a page.

    Args:
        server: HOST:PORT of the server. Browsers cannot reach a Unix socket (``unix:PATH``): then the answer is the
            path alone.
        page: a constant of this module or the answer of ``page_of_command``, with ``#`` and a heading where that helps.
        tls: whether the server uses TLS.
    """
    path = f"/{MOUNT}/{page}"
    if server.startswith("unix:"):
        return path
    return f"http{'s' if tls else ''}://{server}{path}"
