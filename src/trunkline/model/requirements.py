"""Parses lists of pip requirements: names of packages with versions, one per line.

Options, paths and URLs are refused: ``-r`` would reveal files of the server, and an index or an archive chosen by
a user would install packages from a source that the administrator did not choose.
"""

from __future__ import annotations

import re

from trunkline.errors import InvalidArgument

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION = r"(?:===?|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+"
_EXTRAS = rf"\[\s*(?:{_NAME}\s*(?:,\s*{_NAME}\s*)*)?\]"
#: A requirement of PEP 508 without a URL; pip evaluates the environment marker after ";".
_REQUIREMENT = re.compile(
    rf"(?P<name>{_NAME})\s*(?:{_EXTRAS})?\s*(?:\(?\s*{_VERSION}\s*(?:,\s*{_VERSION}\s*)*\)?)?\s*(?:;[^\\$]*)?"
)
#: pip treats a name with one of these suffixes as a file.
_ARCHIVES = (".whl", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz", ".xz", ".txz", ".tlz", ".lz", ".lzma")


def parse(text: str) -> list[str]:
    """Return the requirements of a list, without comments and empty lines.

    Raises:
        InvalidArgument: a line is not a package with versions.
    """
    requirements = []
    for number, line in enumerate(text.splitlines(), 1):
        requirement = re.sub(r"(^|\s)#.*", "", line).strip()
        if not requirement:
            continue
        match = _REQUIREMENT.fullmatch(requirement)
        if match is None or match["name"].lower().endswith(_ARCHIVES):
            excerpt = requirement if len(requirement) <= 100 else requirement[:100] + "…"
            raise InvalidArgument(
                f'requirements line {number} "{excerpt}" is not a package with versions; write lines such as '
                f'"scikit-image>=0.25", without options, paths and URLs'
            )
        requirements.append(requirement)
    return requirements
