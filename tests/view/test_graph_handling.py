"""The graph in a browser by keyboard and address, saved, printed and large."""

import re

import numpy as np
import pytest
import seen_pages
from graph_pages import names, node, seen, state, write_curve
from seen_pages import HOSTILE, circuit

from acdc.circuit import Circuit
from acdc.explorer.seen import Seen, SeenNode
from acdc.graph import Graph


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return write_curve(tmp_path_factory.mktemp("one") / "view.html")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A page of 2,000 edges in a model of twelve layers with twelve heads."""
    graph = Graph.from_config(n_layers=12, n_heads=12)
    scores = np.random.default_rng(0).normal(size=graph.n_edges)
    kept = np.zeros(graph.n_edges, dtype=bool)
    kept[np.argsort(-np.abs(scores))[:2000]] = True
    return seen_pages.write(tmp_path_factory.mktemp("large") / "view.html", [Circuit(graph, kept, scores)], [Seen()])


def test_all_of_it_can_be_done_from_the_keyboard(one, open_page):
    page = open_page(one)
    page.locator("#graph .node").first.evaluate("() => document.querySelector('.node[tabindex=\"0\"]').focus()")
    focused = lambda: page.evaluate("document.activeElement.dataset.node")  # noqa: E731
    assert focused() == "input"
    page.keyboard.press("ArrowUp")
    strongest = max(
        (edge for edge in circuit() if edge.source.name == "input"), key=lambda edge: circuit().scores[edge.number]
    )
    assert focused() == strongest.slot.node.name
    assert page.locator(".node:focus-visible .box").evaluate("one => getComputedStyle(one).strokeWidth") == "4px"
    page.keyboard.press("Enter")
    assert state(page)["pin"] == focused()
    page.keyboard.press("p")
    assert state(page)["follow"] == "input"
    page.keyboard.press("ArrowDown")
    assert focused() == "input"
    page.keyboard.press("Escape")
    assert "pin" not in state(page)
    page.keyboard.press("Space")
    assert state(page)["pin"] == "input"
    assert node(page, "input").get_attribute("aria-pressed") == "true"
    page.keyboard.press("]")
    assert int(state(page)["shown"]) > len(circuit())
    page.keyboard.press("+")
    assert "view" in state(page)
    page.keyboard.press("f")
    assert "view" not in state(page)
    page.keyboard.press("t")
    assert state(page)["theme"] == "dark"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#help").is_hidden()


def test_one_tab_goes_to_the_graph_and_one_out_of_it(one, open_page):
    page = open_page(one)
    assert page.locator('.node[tabindex="0"]').count() == 1
    page.focus("#reset")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.node") == "input"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.node") is None


def test_wheel_and_drag_move_the_graph_and_the_address_keeps_it(one, open_page):
    page = open_page(one)
    before = node(page, "m0").bounding_box()
    x, y = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
    page.mouse.move(x, y)
    page.mouse.wheel(0, -300)
    after = node(page, "m0").bounding_box()
    assert after["width"] > 1.2 * before["width"]
    assert after["x"] + after["width"] / 2 == pytest.approx(x, abs=8)  # what is under the pointer stays there
    assert after["y"] + after["height"] / 2 == pytest.approx(y, abs=8)
    page.mouse.move(560, 860)
    page.mouse.down()
    page.mouse.move(600, 830, steps=4)
    page.mouse.up()
    there = node(page, "m0").bounding_box()
    kept = state(page)
    assert "pin" not in kept
    again = node(open_page(one, f"view={kept['view']}"), "m0").bounding_box()
    for side in ("x", "y", "width"):
        assert again[side] == pytest.approx(there[side], abs=1.5)


def test_while_it_moves_many_lines_are_drawn_cheaply(large, open_page):
    page = open_page(large)
    style = lambda one, name: page.evaluate(f"getComputedStyle(document.querySelector('{one}')).{name}")  # noqa: E731
    width = style(".edge:not(.hidden)", "strokeWidth")
    page.mouse.move(300, 860)  # where nothing is
    page.mouse.wheel(0, -30)
    page.wait_for_selector("#picture.zooming")
    assert style(".edge:not(.hidden)", "vectorEffect") == "non-scaling-stroke"
    page.wait_for_selector("#picture:not(.zooming)")
    assert style(".edge:not(.hidden)", "strokeWidth") == width
    page.mouse.down()
    page.mouse.move(340, 830, steps=3)
    assert style("#world", "willChange") == "transform"
    page.mouse.up()
    assert style("#world", "willChange") == "auto"
    node(page, "a5.h5").hover()
    assert style(".edge:not(.hidden):not(.lit)", "strokeWidth") == "1px"
    assert style(".edge.lit", "vectorEffect") == "none"


def test_in_a_narrow_window_what_a_node_tells_comes_before_the_filters(one, open_page):
    page = open_page(one, "pin=m0", viewport={"width": 420, "height": 900})
    tops = [page.locator(part).bounding_box()["y"] for part in ("#graph", "#panel", "#controls")]
    assert tops == sorted(tops)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420


def test_the_address_brings_back_what_was_seen(one, open_page):
    page = open_page(one, "shown=60&letters=k&pin=m0&theme=dark&nothing=known")
    assert all("<k>" not in name for name in seen(page))
    assert page.locator('.pinned[data-node="m0"]').count() == 1
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.evaluate("location.hash = 'theme=light'")
    page.wait_for_function("() => document.documentElement.dataset.theme === 'light'")
    assert seen(page) == names(circuit())
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


@pytest.mark.parametrize(
    "fragment", ["shown=x&film=y&view=a,b,c&layers=9&top=-3&pin=%3Cb%3E&through=zz", "shown=-5", "film=9"]
)
def test_an_address_that_makes_no_sense_does_no_harm(one, open_page, fragment):
    assert seen(open_page(one, fragment)) == names(circuit())


def test_svg_is_of_what_is_seen_and_needs_no_style_sheet(one, open_page):
    page = open_page(one, "theme=dark")
    with page.expect_download() as download:
        page.click("#save-svg")
    assert download.value.suggested_filename == "made-up.svg"
    text = download.value.path().read_text("utf-8")
    assert text.count("<path") == len(circuit()) + page.locator(".port:not(.unused) .arrow").count()
    assert "class=" not in text
    assert "light-dark" not in text
    assert re.search(r'<rect[^>]* fill="rgb\(22, 24, 29\)"', text)
    with page.expect_download() as download:
        page.click("#save-png")
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_a_long_title_leaves_room_for_the_graph(tmp_path, open_page):
    path = seen_pages.write(tmp_path / "view.html", [circuit()], [Seen()])
    path.write_text(path.read_text("utf-8").replace('"title":"made up"', f'"title":"{"long " * 1000}"'), "utf-8")
    title = open_page(path).locator("h1")
    assert title.bounding_box()["height"] < 60
    assert len(title.get_attribute("title")) == 5000


def test_hostile_text_is_text(tmp_path, open_page):
    found = Seen(nodes={"a1.h0": SeenNode(label=HOSTILE)})
    path = seen_pages.write(tmp_path / "view.html", [circuit()], [found], label=HOSTILE, metric=HOSTILE, method=HOSTILE)
    page = open_page(path)
    node(page, "a1.h0").hover()
    assert HOSTILE in page.locator("#tip").inner_text()
    page.fill("#search", "onerror")
    assert HOSTILE in page.locator("#found").inner_text()
    assert page.locator("img, #graph script").count() == 0


def test_what_a_head_does_stands_over_it_and_can_be_searched(tmp_path, open_page):
    found = Seen(nodes={"a1.h0": SeenNode(label="induction")})
    page = open_page(seen_pages.write(tmp_path / "view.html", [circuit()], [found]))
    assert page.locator("#picture .label").all_text_contents() == ["induction"]
    assert "head 0 of layer 1, induction:" in node(page, "a1.h0").get_attribute("aria-label")
    page.fill("#search", "induc")
    assert page.locator("#found li").all_inner_texts() == ["a1.h0 induction"]


def test_two_thousand_edges_of_twelve_layers_are_there_in_two_seconds(large, open_page):
    assert large.stat().st_size < 1_000_000
    taken = []
    while len(taken) < 3 and min(taken, default=2) >= 2:  # the machine may be busy
        page = open_page(large)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))")
        assert page.locator(".edge:not(.hidden)").count() == 2000
        taken.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000)
    assert min(taken) < 2


def test_a_page_prints_without_its_controls(one, open_page):
    page = open_page(one, "theme=dark")
    page.emulate_media(media="print")
    assert page.locator("#controls").is_hidden()
    assert page.locator("#picture").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
