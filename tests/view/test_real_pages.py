"""Pages of runs on the bundled model, in a browser: what they show is what the runs found."""

import pytest
from graph_pages import names, node, seen, state

import acdc
from acdc.selection import Top
from acdc.viewing import view


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One of decisions and one of scores."""
    folder = tmp_path_factory.mktemp("runs")
    options = {"task": "ioi", "model": "tiny-tasks", "n": 4, "progress": False}
    decided = acdc.discover(**options, threshold=0.5, out=folder / "acdc")
    scored = acdc.discover(**options, method="eap", metric="logit-diff", select=Top(60), out=folder / "eap-ig")
    return decided, scored


@pytest.fixture(scope="module")
def pages(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    view(runs[0], out=folder / "one.html", n=4, progress=False)
    view(*runs, out=folder / "two.html", n=4, open_model=False, progress=False)
    return folder


def test_a_run_of_decisions_is_seen_with_its_figures_and_its_film(runs, pages, open_page):
    (run, _), page = runs, open_page(pages / "one.html")
    assert seen(page) == names(run.circuit)
    figures = page.locator("#figures").inner_text()
    assert f"{run.used.circuit.metrics['kl']:.3g} stored".replace("-", "\u2212") in figures.replace("\t", " ")
    page.locator("#film").press("End")
    assert seen(page) == names(run.circuit)
    assert page.locator("#decision").inner_text().startswith(run.decisions[-1].edge)
    page.locator("#film").press("Home")
    assert len(seen(page)) == run.circuit.graph.n_edges


def test_the_curve_of_a_run_is_beside_the_slider(pages, open_page):
    page = open_page(pages / "one.html", "shown=1519")
    assert page.locator("#threshold .plot").count() == 2
    assert "interpolated" not in page.locator("#figures").inner_text()  # all edges were run
    page = open_page(pages / "one.html", "shown=77")
    assert "interpolated" in page.locator("#figures").inner_text()


def test_a_node_s_page_comes_with_its_pin(runs, pages, open_page):
    page = open_page(pages / "one.html")
    strongest = runs[0].circuit.strongest(1)[0].slot.node.name
    node(page, strongest).click()
    assert state(page)["pin"] == strongest
    assert strongest in page.locator("#panel").inner_text()


def test_two_runs_are_seen_at_once(runs, pages, open_page):
    page = open_page(pages / "two.html")
    a, b = (names(run.circuit) for run in runs)
    assert seen(page) == a | b
    for side, expected in {"a": a - b, "b": b - a, "both": a & b}.items():
        assert page.locator(f".edge.{side}:not(.hidden)").count() == len(expected)
