"""What became of each command of pachctl 2.12: it is the same, differs, or what to use instead.

Loaded only to answer for a command that does not exist here.
"""

from __future__ import annotations

_ACCESS = (
    "Trunkline has no users and roles yet: who reaches the server's port may do everything "
    "(docs/operate/security.md)"
)
_LICENSE = "Trunkline needs no license and no enterprise server"
_IDENTITY = "Trunkline has no identity provider of its own yet (docs/operate/security.md)"

#: Commands that exist and do the same with the same options.
SAME: frozenset[str] = frozenset(
    (
        "check status", "config delete context", "config get active-context",
        "config list context", "config set active-context", "config update context", "copy file",
        "create branch", "create defaults", "create pipeline", "create project", "create repo", "create secret",
        "debug binary", "debug dump", "debug profile", "debug template", "delete all", "delete branch", "delete commit",
        "delete defaults", "delete file", "delete job", "delete pipeline", "delete project", "delete repo",
        "delete secret", "delete transaction", "diff file", "draw pipeline", "edit metadata", "edit pipeline",
        "find commit", "finish commit",
        "finish transaction", "fsck", "get file", "glob file", "inspect branch", "inspect cluster",
        "inspect commit", "inspect datum",
        "inspect defaults", "inspect file", "inspect job", "inspect pipeline", "inspect project", "inspect repo",
        "inspect secret", "inspect transaction", "list branch", "list commit", "list datum", "list file", "list job",
        "list pipeline", "list project", "list repo", "list secret", "list transaction", "logs", "put file",
        "rerun pipeline", "restart datum", "resume transaction", "run cron", "run pfs-load-test", "run pps-load-test",
        "squash commit", "start commit", "start pipeline", "start transaction", "stop job", "stop pipeline",
        "stop transaction", "subscribe commit", "update defaults", "update pipeline", "update project", "update repo",
        "validate pipeline", "version", "wait commit", "wait job",
    )
)  # fmt: skip

#: Commands that exist and differ: how.
DIFFERENT: dict[str, str] = {
    "config get context": "prints text, also where each value was set; pachctl prints JSON",
    "config set context": "takes --address, --project and --ca; pachctl reads JSON from standard input",
}

#: What to do instead, as the end of a sentence.
INSTEAD: dict[str, str] = {
    **dict.fromkeys(
        (
            "auth activate", "auth check project", "auth check repo", "auth deactivate", "auth get cluster",
            "auth get enterprise", "auth get project", "auth get repo", "auth get-config", "auth get-groups",
            "auth get-robot-token", "auth login", "auth logout", "auth revoke", "auth roles-for-permission",
            "auth rotate-root-token", "auth set cluster", "auth set enterprise", "auth set project", "auth set repo",
            "auth set-config", "auth use-auth-token", "auth whoami",
        ),
        _ACCESS,
    ),
    **dict.fromkeys(
        (
            "enterprise deactivate", "enterprise get-state", "enterprise heartbeat", "enterprise register",
            "enterprise sync-contexts", "license activate", "license add-cluster", "license delete-all",
            "license delete-cluster", "license get-state", "license list-clusters", "license update-cluster",
            "config get active-enterprise-context", "config set active-enterprise-context",
        ),
        _LICENSE,
    ),
    **dict.fromkeys(
        (
            "idp create-client", "idp create-connector", "idp delete-client", "idp delete-connector",
            "idp get-client", "idp get-config", "idp get-connector", "idp list-client", "idp list-connector",
            "idp set-config", "idp update-client", "idp update-connector",
        ),
        _IDENTITY,
    ),
    **dict.fromkeys(
        ("enterprise pause", "enterprise pause-status", "enterprise unpause"),
        "stop the server with SIGTERM: nothing that was acknowledged is lost (docs/operate/reliability.md)",
    ),
    "buildinfo": 'use "trunkline version", or "trunkline debug binary FILE" for the versions of all packages',
    "completion bash": 'use "trunkline completion bash"',
    "completion zsh": 'use "trunkline completion zsh"',
    "config get metrics": "Trunkline sends no metrics about its users to anybody",
    "config set metrics": "Trunkline sends no metrics about its users to anybody",
    "config import-kube": 'use "trunkline config set context NAME --address HOST:PORT" with "kubectl port-forward"',
    "connect": 'use "trunkline config set context NAME --address HOST:PORT"',
    "debug analyze": "open the archive of \"trunkline debug dump FILE\": it holds text files",
    "debug local": 'use "trunkline debug dump FILE", which the server writes',
    "debug log-level": 'start the server with "trunkline serve --log-level debug"',
    "delete commitV2": 'use "trunkline delete commit REPO@ID"',
    "squash commitV2": 'use "trunkline squash commit REPO@ID"',
    "exit": "there is no shell to leave",
    "shell": 'each command stands by itself; "trunkline completion SHELL" completes words in your own shell',
    "kube-events": 'use "kubectl get events", or "trunkline list worker" for what workers wait for',
    "loki": 'use "trunkline logs": the server keeps the logs itself',
    "mount": 'use "trunkline get file REPO@BRANCH:/ -r -o FOLDER"; mounting is not built',
    "unmount": "there is nothing mounted; mounting is not built",
    "port-forward": "no forwarding is needed on a laptop; on Kubernetes use \"kubectl port-forward\"",
}  # fmt: skip


def advice(line: str) -> tuple[str, str] | None:
    """Return a command of pachctl that does not exist here, and what to do instead as the end of a sentence.

    Args:
        line: the words of a command line, which may go on after the command.
    """
    for command, sentence in INSTEAD.items():
        if f"{line} ".startswith(f"{command} "):
            return command, sentence
    return None
