"""Which Fargate profile takes a pod."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.scaling.pods import Amounts, Container, Pod
from trunkline.scaling.profiles import (
    Limits,
    Profile,
    Selector,
    choose,
    matches_glob,
    mistakes,
    selects,
    takes_too_much,
)


def pod(namespace="default", labels=None, annotations=None) -> Pod:
    user = Container(name="user", requests=Amounts(cpu_millis=100))
    return Pod(
        name="p", namespace=namespace, labels=labels or {}, annotations=annotations or {}, containers=(user,)
    )


def profile(name: str, *selectors: Selector) -> Profile:
    return Profile(name=name, selectors=selectors)


def selector(namespace: str, **labels: str) -> Selector:
    return Selector(namespace=namespace, labels=tuple(labels.items()))


@pytest.mark.parametrize(
    ("glob", "text", "matches"),
    [
        ("prod", "prod", True),
        ("prod", "production", False),
        ("prod*", "prod", True),
        ("prod*", "production", True),
        ("*prod", "preprod", True),
        ("*prod", "preprods", False),
        ("team-?", "team-a", True),
        ("team-?", "team-", False),
        ("*", "", True),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("a*c", "a\nc", True),
        ("Prod", "prod", False),
    ],
)
def test_a_star_is_any_text_a_question_mark_one_character_and_the_rest_itself(glob, text, matches):
    assert matches_glob(glob, text) is matches


@given(st.text(alphabet="ab[]()+.^$\\|{}-"))
def test_text_without_wildcards_matches_itself_and_nothing_longer(text):
    assert matches_glob(text, text)
    assert not matches_glob(text, text + "a")


def test_all_labels_of_a_selector_must_match_and_the_pod_may_have_more():
    pattern = selector("default", node="fargate", tier="*")

    assert selects(pattern, "default", {"node": "fargate", "tier": "batch", "more": "x"})
    assert not selects(pattern, "default", {"node": "fargate"})
    assert not selects(pattern, "other", {"node": "fargate", "tier": "batch"})


def test_wildcards_work_in_label_keys():
    assert selects(Selector(namespace="*", labels=(("team/*", "?"),)), "x", {"team/a": "1"})


def test_any_selector_of_a_profile_will_do():
    chosen = choose(
        [profile("p", selector("a"), selector("default", node="fargate"))], pod(labels={"node": "fargate"})
    )

    assert chosen.profile is not None
    assert not chosen.ambiguous


def test_the_first_profile_by_name_wins_and_the_others_are_told():
    profiles = [
        profile("b", selector("default")),
        profile("a", selector("*")),
        profile("A2", selector("none")),
    ]

    chosen = choose(profiles, pod())

    assert chosen.profile == profiles[1]
    assert chosen.ambiguous
    assert [match.name for match in chosen.matching] == ["a", "b"]
    assert 'profile "a" takes it because its name sorts first; "b" would too' in chosen.sentence


def test_a_pod_may_pin_a_profile_that_matches_it():
    profiles = [profile("a", selector("default")), profile("b", selector("default"))]

    chosen = choose(profiles, pod(labels={"eks.amazonaws.com/fargate-profile": "b"}))

    assert chosen.profile == profiles[1]
    assert not chosen.ambiguous


def test_a_pinned_profile_that_does_not_match_takes_nothing_and_the_reason_is_told():
    profiles = [profile("a", selector("default")), profile("b", selector("elsewhere"))]

    chosen = choose(profiles, pod(labels={"eks.amazonaws.com/fargate-profile": "b"}))

    assert chosen.profile is None
    assert 'requires namespace "elsewhere" where the pod is in "default"' in chosen.sentence


def test_a_pinned_profile_that_does_not_exist_is_told_with_those_that_do():
    chosen = choose([profile("a", selector("x"))], pod(labels={"eks.amazonaws.com/fargate-profile": "b"}))

    assert chosen.profile is None
    assert 'profile "b", which does not exist; the cluster has: a' in chosen.sentence


@pytest.mark.parametrize("place", ["labels", "annotations"])
def test_a_pod_can_stay_away(place):
    away = pod(**{place: {"eks.amazonaws.com/compute-type": "ec2"}})

    chosen = choose([profile("a", selector("*"))], away)

    assert chosen.profile is None
    assert "keeps it away from Fargate" in chosen.sentence


def test_what_matches_nothing_is_told_what_the_nearest_profile_wants():
    profiles = [
        profile("far", selector("elsewhere", x="y")),
        profile("near", selector("default", node="fargate", tier="batch")),
    ]

    chosen = choose(profiles, pod(labels={"node": "farget", "tier": "batch"}))

    assert chosen.profile is None
    assert chosen.sentence == (
        'no Fargate profile takes it; the nearest is "near", which requires label node="fargate" where the pod has '
        'node="farget"'
    )


def test_a_cluster_without_profiles_says_how_to_make_one():
    assert "trunkline fargate apply" in choose([], pod()).sentence


def test_a_good_profile_has_no_mistakes():
    assert mistakes(profile("pipelines", selector("default", node="fargate"))) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (profile("eks-mine", selector("default")), 'begins with "eks-"'),
        (profile("", selector("default")), "is not allowed"),
        (profile("-a", selector("default")), "is not allowed"),
        (profile("a" * 101, selector("default")), "100 at most"),
        (profile("a"), "has no selector"),
        (profile("a", *(selector(f"n{i}") for i in range(6))), "has 6 selectors, the quota is 5"),
        (profile("a", selector("")), "names no namespace"),
        (profile("a", selector("n", **{f"l{i}": "v" for i in range(6)})), "has 6 labels, the quota is 5"),
        (profile("a", Selector(namespace="n", labels=(("k" * 128, "v"),))), "write 1 to 127 characters"),
        (profile("a", Selector(namespace="n", labels=(("k", "v" * 256),))), "write 255 at most"),
    ],
)
def test_what_eks_would_refuse_is_told_before(wrong, words):
    (sentence,) = mistakes(wrong)

    assert words in sentence


def test_quotas_that_were_raised_are_known():
    six = profile("a", *(selector(f"n{i}") for i in range(6)))

    assert mistakes(six, Limits(selectors=6)) == []


@pytest.mark.parametrize(
    ("wide", "words"),
    [
        (selector("*"), "every pod of every namespace"),
        (selector("default"), 'every pod of namespace "default"'),
    ],
)
def test_a_profile_that_takes_too_much_is_warned_of(wide, words):
    (warning,) = takes_too_much(profile("p", wide))

    assert words in warning
    assert takes_too_much(profile("p", selector("*", node="fargate"))) == []
