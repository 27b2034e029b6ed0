"""The graph of a project: what is shown, how it is chosen, moved and filtered, and how it follows the server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from servers import ended, make_pipeline, make_repo, put

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=30_000)

if TYPE_CHECKING:
    from conftest import Watched
    from playwright.sync_api import Locator, Page
    from servers import Server

COPY = "cp /pfs/*/* /pfs/out/"
#: A node that has failed, in words.
FAILED = re.compile("^report 1 datum, 1 failed · .* 1/1, pipeline, running, job failure$")


@pytest.fixture(scope="module")
def project(shared: Server) -> Server:
    """The server with a chain of pipelines behind a repo, the last of which fails."""
    client = shared.client()
    branch = make_repo(client, "images")
    for name, source, line in (
        ("train-edges", "images", COPY),
        ("train-model", "train-edges", COPY),
        ("report", "train-model", "exit 3"),
    ):
        last = make_pipeline(client, name, line, source, autoscaling=False, datum_tries=1)
    ended(client, last, put(client, branch, {"/a": b"1"}))
    return shared


def card(page: Page, name: str) -> Locator:
    return graph_of(page).get_by_role("button", name=re.compile(f"^{name}[ ,]"))


def graph_of(page: Page) -> Locator:
    return page.get_by_role("group", name="Graph of project default")


def open_graph(page: Page, query: str = "") -> None:
    page.goto(f"/ui/p/default{query}")
    expect(graph_of(page)).to_be_visible()


def test_the_graph_shows_pipelines_with_their_states_as_cards_and_as_a_tree(
    project: Server, page: Page
) -> None:
    open_graph(page)

    expect(card(page, "report")).to_have_accessible_name(FAILED)
    tree = page.get_by_role("treegrid")
    expect(tree.get_by_role("row")).to_have_count(4)
    expect(tree.get_by_role("row").nth(3)).to_have_attribute("aria-level", "4")


def test_a_new_pipeline_appears_without_a_reload_and_old_cards_stay(project: Server, page: Page) -> None:
    open_graph(page)
    before = card(page, "train-edges").bounding_box()

    client = project.client()
    late = make_pipeline(client, "late", "true", "report")

    expect(card(page, "late")).to_be_visible()
    assert card(page, "train-edges").bounding_box() == before
    client.pps.delete_pipeline(pipeline=late)
    expect(card(page, "late")).to_have_count(0)


def test_the_filter_selects_by_edges_and_states_and_stands_in_the_address(
    project: Server, page: Page
) -> None:
    open_graph(page)
    field = page.get_by_role("searchbox")

    field.fill("1+report")
    expect(card(page, "train-edges")).to_have_count(0)
    expect(card(page, "train-model")).to_be_visible()
    field.fill("state:failure")
    expect(page.get_by_role("treegrid").get_by_role("row")).to_have_count(1)
    field.fill("report and")
    expect(page.get_by_text("A name is expected at the end.")).to_be_visible()
    field.fill("kind:repo")
    page.reload()
    expect(page.get_by_role("treegrid").get_by_role("row")).to_have_count(1)
    page.get_by_role("searchbox").fill("nothing-has-this-name")
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.get_by_role("treegrid").get_by_role("row")).to_have_count(4)


def test_arrows_lead_along_edges_and_enter_opens(project: Server, page: Page) -> None:
    open_graph(page)
    card(page, "train-edges").focus()

    page.keyboard.press("ArrowRight")
    expect(card(page, "train-model")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(card(page, "report")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")

    page.wait_for_url("**/pipelines/train-model")


def test_a_chosen_node_has_details_and_a_neighbourhood(project: Server, page: Page) -> None:
    open_graph(page, "?focus=default/pipeline:report")
    details = page.get_by_role("complementary", name="Chosen node")
    expect(details.get_by_role("link", name="failure")).to_be_visible()

    details.get_by_role("button", name="1 step", exact=True).click()

    expect(card(page, "train-edges")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(card(page, "train-edges")).to_be_visible()
    expect(details).to_have_count(0)


def test_groups_fold_to_one_card_and_open(project: Server, page: Page) -> None:
    open_graph(page, "?fold=group")
    group = page.get_by_role("button", name="train 2 success, group of 2 nodes")
    expect(group).to_be_visible()

    group.click()

    expect(card(page, "train-model")).to_be_visible()


def test_the_time_slider_shows_the_jobs_of_a_global_id(project: Server, page: Page) -> None:
    open_graph(page)
    page.keyboard.press("t")
    slider = page.get_by_role("slider", name="Run that is shown")
    expect(slider).to_have_attribute("aria-valuetext", "now")

    slider.press("Home")

    expect(page.get_by_role("region", name="Time").get_by_role("link", name="Run ")).to_be_visible()
    expect(card(page, "train-model not part of this run")).to_be_visible()
    page.get_by_role("button", name="Now", exact=True).click()
    expect(card(page, "report")).to_have_accessible_name(FAILED)


def test_the_list_has_all_nodes(project: Server, page: Page) -> None:
    page.goto("/ui/p/default?view=list")

    expect(page.get_by_role("grid", name="The nodes of the graph").get_by_role("row")).to_have_count(5)


def test_pan_and_zoom_move_the_picture_and_fit_brings_it_back(project: Server, page: Page) -> None:
    open_graph(page)
    before = card(page, "report").bounding_box()
    frame = graph_of(page).bounding_box()
    assert frame is not None

    page.mouse.move(frame["x"] + 300, frame["y"] + 50)
    page.mouse.down()
    page.mouse.move(frame["x"] + 400, frame["y"] + 90, steps=4)
    page.mouse.up()
    moved = card(page, "report").bounding_box()
    assert before is not None
    assert moved is not None
    assert (round(moved["x"] - before["x"]), round(moved["y"] - before["y"])) == (100, 40)
    page.keyboard.press("f")

    page.wait_for_function(
        "([name, x]) => Math.abs(document.querySelector(`[data-card][aria-label^='${name}']`)"
        ".getBoundingClientRect().x - x) < 1",
        arg=["report", before["x"]],
    )


def test_a_narrow_window_keeps_everything_reachable(project: Server, context: Watched) -> None:
    page = context.context.new_page()
    page.set_viewport_size({"width": 320, "height": 700})
    open_graph(page)

    assert page.evaluate("() => document.documentElement.scrollWidth") <= 320
    expect(page.get_by_role("treegrid")).to_be_visible()
