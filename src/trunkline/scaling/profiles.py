"""Which Fargate profile takes a pod: the selectors of Amazon EKS, as pure functions.

A profile's selectors are alternatives; inside one, the namespace and every label must match. ``*`` stands for
any characters, ``?`` for exactly one, in namespaces, label keys and label values; nothing else is special,
not even ``[`` (so ``fnmatch`` cannot be used). When several profiles match, the first by name
wins. Source: "Define which Pods use AWS Fargate when launched", Amazon EKS user guide, read in December 2024.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trunkline.scaling.pods import Pod

#: Label by which a pod selects one profile, and by which Fargate names the one that it used.
PROFILE_LABEL = "eks.amazonaws.com/fargate-profile"
#: Label or annotation that keeps a pod away from Fargate, with the value ``ec2``.
COMPUTE_TYPE = "eks.amazonaws.com/compute-type"
#: Beginning of the names that EKS keeps for itself.
RESERVED = "eks-"

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}", re.ASCII)
#: Lengths that AWS::EKS::FargateProfile allows.
_LONGEST_KEY, _LONGEST_VALUE = 127, 255


class Limits(Struct, frozen=True, kw_only=True):
    """Quotas of EKS that a plan must respect. AWS raises all of them on request, so none is a constant."""

    selectors: int = 5
    labels: int = 5
    profiles: int = 10


class Selector(Struct, frozen=True, kw_only=True):
    """Pods of a namespace that carry all of some labels; without labels, all pods of the namespace."""

    namespace: str
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        labels = ", ".join(f"{key}={value}" for key, value in self.labels)
        return f"{self.namespace}: {labels or 'every pod'}"


class Profile(Struct, frozen=True, kw_only=True):
    """A Fargate profile: which pods it takes. ``aws`` knows its role and subnets."""

    name: str
    selectors: tuple[Selector, ...]


class Choice(Struct, frozen=True, kw_only=True):
    """Which profile takes a pod, and why."""

    #: None when the pod goes to no Fargate machine.
    profile: Profile | None
    #: All profiles that match it, the winner first.
    matching: tuple[Profile, ...]
    #: The reason, for people.
    sentence: str
    #: Several profiles match, so that a rename decides: worth a warning.
    ambiguous: bool = False


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(character) or re.escape(character) for character in glob), re.DOTALL
    )


def matches_glob(glob: str, text: str) -> bool:
    """Return whether all of ``text`` matches.

    >>> matches_glob("team-*", "team-a"), matches_glob("team-?", "team-ab"), matches_glob("[ab]", "a")
    (True, False, False)
    """
    return _pattern(glob).fullmatch(text) is not None


def selects(selector: Selector, namespace: str, labels: Mapping[str, str]) -> bool:
    """Return whether a selector of a Fargate profile matches a pod.

    Args:
        selector: one selector of a profile.
        namespace: the pod's namespace.
        labels: the pod's labels.
    """
    return matches_glob(selector.namespace, namespace) and not _missing(selector, labels)


def _missing(selector: Selector, labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the labels that the selector requires and the pod does not have."""
    return [
        (key, value)
        for key, value in selector.labels
        if not any(matches_glob(key, k) and matches_glob(value, v) for k, v in labels.items())
    ]


def choose(profiles: Iterable[Profile], pod: Pod) -> Choice:
    """Return which profile takes a pod.

    Args:
        profiles: those of the cluster, in any order.
        pod: as it is sent to the cluster: EKS looks at admission and never again.
    """
    profiles = sorted(profiles, key=lambda profile: profile.name)
    for place, values in (("label", pod.labels), ("annotation", pod.annotations)):
        if values.get(COMPUTE_TYPE) == "ec2":
            sentence = f"the {place} {COMPUTE_TYPE}: ec2 keeps it away from Fargate; remove it to run there"
            return Choice(profile=None, matching=(), sentence=sentence)
    matching = tuple(
        profile
        for profile in profiles
        if any(selects(selector, pod.namespace, pod.labels) for selector in profile.selectors)
    )
    pinned = pod.labels.get(PROFILE_LABEL)
    if pinned is not None:
        return _pinned(pinned, profiles, matching, pod)
    if not matching:
        return Choice(profile=None, matching=(), sentence=_why_none(profiles, pod))
    winner, *others = matching
    if not others:
        return Choice(profile=winner, matching=matching, sentence=f'profile "{winner.name}" takes it')
    names = ", ".join(f'"{profile.name}"' for profile in others)
    sentence = (
        f'profile "{winner.name}" takes it because its name sorts first; {names} would too: '
        f"narrow their selectors, or pin one with the label {PROFILE_LABEL}"
    )
    return Choice(profile=winner, matching=matching, sentence=sentence, ambiguous=True)


def _pinned(pinned: str, profiles: Sequence[Profile], matching: tuple[Profile, ...], pod: Pod) -> Choice:
    for profile in matching:
        if profile.name == pinned:
            rest = tuple(other for other in matching if other is not profile)
            sentence = f'profile "{pinned}" takes it, as its label {PROFILE_LABEL} asks'
            return Choice(profile=profile, matching=(profile, *rest), sentence=sentence)
    for profile in profiles:
        if profile.name == pinned:
            why = _nearest([profile], pod)
            sentence = (
                f'its label {PROFILE_LABEL} asks for profile "{pinned}", which does not select it: {why}'
            )
            return Choice(profile=None, matching=matching, sentence=sentence)
    names = ", ".join(profile.name for profile in profiles) or "none"
    sentence = f'its label {PROFILE_LABEL} asks for profile "{pinned}", which does not exist; the cluster has: {names}'
    return Choice(profile=None, matching=matching, sentence=sentence)


def _why_none(profiles: Sequence[Profile], pod: Pod) -> str:
    if not profiles:
        return "the cluster has no Fargate profile; create one with: trunkline fargate apply"
    return f"no Fargate profile takes it; the nearest is {_nearest(profiles, pod)}"


def _nearest(profiles: Sequence[Profile], pod: Pod) -> str:
    """Return what the pod lacks for the selector that it matches best."""
    candidates = []
    for profile in profiles:
        for selector in profile.selectors:
            elsewhere = not matches_glob(selector.namespace, pod.namespace)
            missing = _missing(selector, pod.labels)
            candidates.append((10 * elsewhere + len(missing), profile.name, selector, missing, elsewhere))
    _, name, selector, missing, elsewhere = min(candidates, key=lambda each: each[:2])
    required = []
    if elsewhere:
        required.append(f'namespace "{selector.namespace}" where the pod is in "{pod.namespace}"')
    for key, value in missing:
        has = f'has {key}="{pod.labels[key]}"' if key in pod.labels else "has no such label"
        required.append(f'label {key}="{value}" where the pod {has}')
    return f'"{name}", which requires {" and ".join(required)}'


def mistakes(profile: Profile, limits: Limits | None = None) -> list[str]:
    """Return a sentence for each rule of EKS that a profile breaks.

    Args:
        profile: the profile as it is to be created.
        limits: the account's quotas; those of a new account if None.
    """
    limits = limits or Limits()
    name = f'the profile name "{profile.name}"'
    wrong = []
    if not _NAME.fullmatch(profile.name):
        wrong.append(
            f"{name} is not allowed; begin with a letter or digit and use letters, digits, - and _, 100 at most"
        )
    if profile.name.startswith(RESERVED):
        wrong.append(f'{name} begins with "{RESERVED}", which EKS reserves; choose another')
    if not profile.selectors:
        wrong.append(f'profile "{profile.name}" has no selector and would take no pod; name a namespace')
    if len(profile.selectors) > limits.selectors:
        wrong.append(
            f'profile "{profile.name}" has {len(profile.selectors)} selectors, the quota is {limits.selectors}; '
            "make a second profile or ask AWS to raise the quota"
        )
    for position, selector in enumerate(profile.selectors):
        where = f'selector {position + 1} of profile "{profile.name}"'
        if not selector.namespace:
            wrong.append(f"{where} names no namespace; add one, every selector needs it")
        if len(selector.labels) > limits.labels:
            wrong.append(
                f"{where} has {len(selector.labels)} labels, the quota is {limits.labels}; remove some"
            )
        for key, value in selector.labels:
            if not key or len(key) > _LONGEST_KEY:
                wrong.append(f'{where} has a label key "{key}"; write 1 to {_LONGEST_KEY} characters')
            if len(value) > _LONGEST_VALUE:
                wrong.append(
                    f"{where}: the value of {key} has {len(value)} characters; write {_LONGEST_VALUE} at most"
                )
    return wrong


def takes_too_much(profile: Profile) -> list[str]:
    """Return a warning for each selector that takes more pods than is likely intended."""
    warnings = []
    for selector in profile.selectors:
        if selector.labels:
            continue
        if not selector.namespace.strip("*"):
            warnings.append(
                f'profile "{profile.name}" takes every pod of every namespace, those of kube-system included; '
                "name a namespace and a label"
            )
        else:
            warnings.append(
                f'profile "{profile.name}" takes every pod of namespace "{selector.namespace}", the server and '
                "its database included, whose disks Fargate cannot attach; add a label such as node=fargate"
            )
    return warnings
