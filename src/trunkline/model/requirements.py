"""What a list of requirements may say: names of packages with versions, one a line.

Options, paths and URLs are refused: ``-r`` would show files of the server, an index or an archive of anybody's
would bring packages that the administrator does not know.
"""

from __future__ import annotations

import re

from trunkline.errors import InvalidArgument

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION = r"(?:===?|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+"
_EXTRAS = rf"\[\s*(?:{_NAME}\s*(?:,\s*{_NAME}\s*)*)?\]"
#: A requirement of PEP 508 without a URL; the environment marker behind ";" is pip's to judge.
_REQUIREMENT = re.compile(
    rf"(?P<name>{_NAME})\s*(?:{_EXTRAS})?\s*(?:\(?\s*{_VERSION}\s*(?:,\s*{_VERSION}\s*)*\)?)?\s*(?:;[^\\$]*)?"
)
#: pip takes a name that ends so for a file.
_ARCHIVES = (".whl", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz", ".xz", ".txz", ".tlz", ".lz", ".lzma")


def parse(text: str) -> list[str]:
    """Return the requirements of a list, without comments and empty lines.

    Raises:
        InvalidArgument: a line is something else than a package with versions.
    """
    requirements = []
    for number, line in enumerate(text.splitlines(), 1):
        requirement = re.sub(r"(^|\s)#.*", "", line).strip()
        if not requirement:
            continue
        match = _REQUIREMENT.fullmatch(requirement)
        if match is None or match["name"].lower().endswith(_ARCHIVES):
            shown = requirement if len(requirement) <= 100 else requirement[:100] + "…"
            raise InvalidArgument(
                f'requirements line {number} "{shown}" is not a package with versions; write lines such as '
                f'"scikit-image>=0.25", without options, paths and URLs'
            )
        requirements.append(requirement)
    return requirements
