"""Two runs beside the graph, in a browser: held against each other."""

import pytest
import seen_pages
from seen_pages import state, text, texts

from acdc.comparison import Pair
from acdc.explorer.facts import glance


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    circuits, found = [seen_pages.circuit(), seen_pages.circuit(1, 50)], [seen_pages.seen(), seen_pages.seen(4)]
    return seen_pages.write(tmp_path_factory.mktemp("two") / "view.html", circuits, found)


def test_two_runs_are_held_against_each_other(two, open_page):
    page = open_page(two, "tab=runs")
    pair = Pair(seen_pages.circuit(), seen_pages.circuit(1, 50))
    edges = pair.edges
    counts = [edges.only_first, edges.both, edges.only_second]
    assert 0 not in counts
    assert [int(words.split()[0]) for words in texts(page, ".count")] == counts
    assert f"Jaccard {edges.jaccard:.3g}" in text(page)
    heading = f"{edges.both} edges in both"
    listed = texts(page, f"section:has(> h3:text('{heading}')) tbody tr button")
    assert set(listed) <= {edge.name for edge in pair.both()}
    page.click("#panel .count.side-both")
    assert state(page)["sides"] == "both"
    assert page.get_attribute("#panel .count.side-both", "aria-pressed") == "false"
    page.click("#panel .count.side-both")
    assert "sides" not in state(page)


def test_what_two_runs_differ_in_stands_out(two, open_page):
    page = open_page(two, "tab=runs")
    marked = page.locator("#panel section:has(> h3:text('Facts')) tr:has(b) td:first-child").all_inner_texts()
    told = [dict(glance(circuit, None)) for circuit in (seen_pages.circuit(), seen_pages.circuit(1, 50))]
    assert "edges" in marked
    assert set(marked) == {name for name in told[0] if told[0][name] != told[1][name]}


def test_prompts_and_nodes_are_those_of_the_chosen_run(two, open_page):
    page = open_page(two, "tab=prompts")
    assert page.locator("#panel ol.prompts li").count() == 8
    page.click("#panel [data-key=run-1]")
    assert page.locator("#panel ol.prompts li").count() == 4
    assert state(page) == {"tab": "prompts", "run": "1"}
