"""The graph in a browser: what is seen, lit, pinned, found, filtered and saved."""

import re
from urllib.parse import parse_qs

import numpy as np
import pytest
import seen_pages
from graph_pages import write_curve, write_film
from seen_pages import HOSTILE, circuit

from acdc.explorer.seen import Seen, SeenNode


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return write_curve(tmp_path_factory.mktemp("one") / "view.html")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    circuits = [seen_pages.circuit(), seen_pages.circuit(1, 50)]
    return seen_pages.write(tmp_path_factory.mktemp("two") / "view.html", circuits, [Seen(), Seen()])


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    return write_film(tmp_path_factory.mktemp("film") / "view.html")


def seen(page):
    """Names of the edges that are seen."""
    return set(
        page.evaluate(
            "() => { const edges = JSON.parse(document.getElementById('data').textContent).graph;"
            "const name = (i) => { const [s, r, l] = ['source', 'reader', 'letter'].map((key) => edges.edges[key][i]);"
            "return edges.nodes[s].name + '->' + edges.nodes[r].name + (l === '-' ? '' : `<${l}>`); };"
            "return [...document.querySelectorAll('.edge:not(.hidden)')].map((one) => name(one.dataset.edge)); }"
        )
    )


def lit_nodes(page):
    return set(page.locator(".node.lit").evaluate_all("all => all.map((one) => one.dataset.node)"))


def state(page):
    page.wait_for_timeout(350)  # the address is written a little later
    return {name: value for name, (value,) in parse_qs(page.evaluate("location.hash.slice(1)")).items()}


def node(page, name):
    return page.locator(f'.node[data-node="{name}"]')


def names(edges):
    return {edge.name for edge in edges}


def test_at_first_the_circuit_is_seen(one, open_page):
    page = open_page(one)
    assert seen(page) == names(circuit())
    assert page.inner_text("#status") == "36 of 172 edges seen"
    assert page.locator(".node:not(.ghost)").count() == len(circuit().nodes())
    assert page.locator(".port:not(.unused)").count() == len({edge.slot.name for edge in circuit() if edge.slot.letter})


def test_under_the_pointer_a_node_and_its_edges_are_lit(one, open_page):
    page = open_page(one)
    node(page, "a1.h0").hover()
    around = [edge for edge in circuit() if "a1.h0" in (edge.source.name, edge.slot.node.name)]
    assert page.locator(".edge.lit").count() == len(around)
    assert lit_nodes(page) == {end.name for edge in around for end in (edge.source, edge.slot.node)} | {"a1.h0"}
    assert page.locator("#tip").inner_text().startswith("a1.h0\nhead 0 of layer 1\n")
    dim = page.locator(".edge:not(.hidden):not(.lit)").first.evaluate("one => getComputedStyle(one).strokeOpacity")
    assert float(dim) < 0.2
    page.mouse.move(400, 890)
    assert page.locator(".lit").count() == 0
    assert page.locator("#tip").is_hidden()


def test_an_edge_says_its_score(one, open_page):
    page = open_page(one)
    (strongest,) = circuit().strongest(1)
    i = page.evaluate("() => [...document.querySelectorAll('.edge:not(.hidden)')].at(-1).dataset.edge")  # on top
    place = page.evaluate(f"""() => {{
        const line = document.querySelector('.edge[data-edge="{i}"]');
        const at = line.getPointAtLength(line.getTotalLength() / 2).matrixTransform(line.getScreenCTM());
        return [at.x + 3, at.y]; }}""")
    page.mouse.move(*place)  # beside it
    said = page.locator("#tip").inner_text()
    score = circuit().scores[strongest.number]
    assert said == f"{strongest.name}\nscore {score:.3g}, kept"
    page.mouse.click(*place)
    assert state(page)["pin"] == strongest.name


def test_a_click_pins_and_another_lets_go(one, open_page):
    page = open_page(one)
    node(page, "a1.h0").click()
    page.mouse.move(400, 890)
    assert "a1.h0" in lit_nodes(page)
    assert state(page)["pin"] == "a1.h0"
    assert page.locator(".pinned").count() == 1
    page.wait_for_timeout(500)  # else it were a double click
    node(page, "a1.h0").click()
    page.mouse.move(400, 890)
    assert "pin" not in state(page)
    assert page.locator(".lit").count() == 0


def test_a_double_click_follows_the_paths_from_the_input_then_to_the_logits(one, open_page):
    page = open_page(one)
    node(page, "a1.h1").dblclick()
    assert state(page) == {"pin": "a1.h1", "follow": "input"}
    assert "input" in lit_nodes(page)
    assert "logits" not in lit_nodes(page)
    page.wait_for_timeout(500)
    node(page, "a1.h1").dblclick()
    page.mouse.move(400, 890)
    assert state(page)["follow"] == "logits"
    assert "logits" in lit_nodes(page)
    assert "input" not in lit_nodes(page)


def test_the_slider_takes_the_edges_of_the_largest_scores_that_are_on_a_path(one, open_page):
    page = open_page(one)
    graph, scores = circuit().graph, circuit().scores
    for n in (1, 7, 40, 100):
        page.fill("#size-number", str(n))
        page.press("#size-number", "Enter")
        largest = np.zeros(graph.n_edges, dtype=bool)
        largest[np.argsort(-np.abs(scores), kind="stable")[:n]] = True
        assert seen(page) == names(graph.edges(graph.on_path(largest)))
        assert state(page)["shown"] == str(n)
    page.locator("#size").fill("0")
    assert state(page)["shown"] == "1"
    page.locator("#size").press("End")
    assert state(page)["shown"] == "172"
    page.click("#as-found")
    assert seen(page) == names(circuit())


def figures(page):
    rows = page.locator("#figures tr").all_inner_texts()
    return {name: value for name, _, value in (re.sub(r"\s+", " ", row).partition(" ") for row in rows)}


def test_figures_beside_the_slider_are_stored_or_interpolated(one, open_page):
    page = open_page(one)
    assert figures(page) == {"edges": "36", "KL": "0.9 stored", "faithfulness": "0.65 stored"}
    page = open_page(one, "shown=40")
    assert figures(page)["KL"] == "1 stored"
    page = open_page(one, "shown=20")  # midway between 10 and 40, by ratio
    assert figures(page)["KL"] == "1.5 interpolated"
    assert figures(page)["faithfulness"] == "0.4 interpolated"
    page = open_page(one, "shown=80")
    assert "faithfulness" not in figures(page)  # it isn't known above
    assert "KL" not in figures(open_page(one, "shown=170"))  # nor is anything beyond


def test_the_film_removes_edges_as_they_were_decided(filmed, open_page):
    path, decisions, found = filmed
    page = open_page(path, "film=0")
    assert len(seen(page)) == found.graph.n_edges
    gone = set()
    for frame, decision in enumerate(decisions[:6]):
        page.click("#on")
        if not decision.kept:
            gone.add(decision.edge)
        assert not gone & seen(page)
        assert state(page)["film"] == str(frame + 1)
        said = page.locator("#decision").inner_text()
        assert said.startswith(f"{decision.edge} {'kept' if decision.kept else 'removed'}: kl ")
    page.click("#back")
    assert state(page)["film"] == "5"
    page.locator("#film").fill(str(len(decisions)))
    assert seen(page) == names(found)


def test_the_film_plays_and_stops(filmed, open_page):
    page = open_page(filmed[0])
    page.click("#play")
    page.wait_for_function("() => Number(document.getElementById('film').value) > 1")
    page.click("#play")
    at = page.input_value("#film")
    page.wait_for_timeout(900)
    assert page.input_value("#film") == at
    page.click("#as-found")
    assert seen(page) == names(filmed[2])


def test_a_run_without_decisions_has_no_film(one, open_page):
    assert open_page(one).locator("#film-box").count() == 0


def test_filters_hide_letters_kinds_layers_and_weak_edges(one, open_page):
    page = open_page(one)
    page.uncheck("#letters-q")
    assert seen(page) == names(edge for edge in circuit() if edge.slot.letter != "q")
    page.uncheck("#kinds-mlps")
    ends = lambda edge: (edge.source, edge.slot.node)  # noqa: E731
    assert seen(page) == names(
        edge for edge in circuit() if edge.slot.letter != "q" and all(end.kind != "mlp" for end in ends(edge))
    )
    assert state(page) == {"letters": "q", "kinds": "mlps"}
    page.click("#reset")
    assert seen(page) == names(circuit())
    page.fill("#layer-from", "1")
    page.fill("#layer-to", "1")
    assert seen(page) == names(edge for edge in circuit() if all(end.layer in (None, 1) for end in ends(edge)))
    page.click("#reset")
    page.fill("#strongest", "5")
    assert seen(page) == names(circuit().strongest(5))


def test_only_what_is_on_paths_through_a_node(one, open_page):
    page = open_page(one)
    page.fill("#through", "a1.h0")
    found, kept = {"a1.h0"}, list(circuit())
    before, after = set(found), set(found)
    for _ in kept:
        before |= {edge.source.name for edge in kept if edge.slot.node.name in before}
        after |= {edge.slot.node.name for edge in kept if edge.source.name in after}
    assert seen(page) == names(edge for edge in kept if edge.slot.node.name in before or edge.source.name in after)
    page.fill("#through", "a1.h")  # not a node yet
    assert page.get_attribute("#through", "aria-invalid") == "true"
    assert seen(page) == names(circuit())


def test_search_finds_nodes_and_edges_and_goes_there(one, open_page):
    page = open_page(one, "view=0,0,3")
    page.keyboard.press("/")
    page.keyboard.type("a1.h0")
    found = page.locator("#found li").all_inner_texts()
    assert found[0] == "a1.h0"
    assert any("->a1.h0<" in one for one in found)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert state(page)["pin"] == "a1.h0"
    around, box = page.locator("#graph").bounding_box(), node(page, "a1.h0").bounding_box()
    assert around["x"] < box["x"] < around["x"] + around["width"]
    assert around["y"] < box["y"] < around["y"] + around["height"]
    page.fill("#search", "nothing like it")
    assert page.locator("#found").inner_text() == "Nothing drawn has that name."


def test_two_runs_are_told_apart_and_a_side_can_be_hidden(two, open_page):
    page = open_page(two)
    a, b = names(seen_pages.circuit()), names(seen_pages.circuit(1, 50))
    assert seen(page) == a | b
    for side, expected in {"a": a - b, "b": b - a, "both": a & b}.items():
        assert page.locator(f".edge.{side}:not(.hidden)").count() == len(expected)
    page.uncheck("#sides-both")
    assert seen(page) == a ^ b
    page.uncheck("#sides-a")
    assert seen(page) == b - a


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
    page.mouse.move(600, 450)
    page.mouse.wheel(0, -300)
    assert node(page, "m0").bounding_box()["width"] > 1.2 * before["width"]
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


def test_hostile_text_is_text(tmp_path, open_page):
    found = Seen(nodes={"a1.h0": SeenNode(label=HOSTILE)})
    path = seen_pages.write(tmp_path / "view.html", [circuit()], [found], label=HOSTILE, metric=HOSTILE, method=HOSTILE)
    page = open_page(path)
    node(page, "a1.h0").hover()
    assert HOSTILE in page.locator("#tip").inner_text()
    page.fill("#search", "onerror")
    assert HOSTILE in page.locator("#found").inner_text()
    assert page.locator("img, #graph script").count() == 0


def test_a_page_prints_without_its_controls(one, open_page):
    page = open_page(one, "theme=dark")
    page.emulate_media(media="print")
    assert page.locator("#controls").is_hidden()
    assert page.locator("#picture").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
