"""The graph in a browser: what is seen, lit, pinned, found and filtered."""

import re

import numpy as np
import pytest
import seen_pages
from graph_pages import CURVE, lit_nodes, names, node, seen, state, write_curve, write_film
from seen_pages import circuit

from acdc.explorer.seen import Seen


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
    ends = [[edge for edge in around if (edge.source.name == "a1.h0") == is_out] for is_out in (False, True)]
    into, out = (f"{sum(circuit().scores[edge.number] for edge in edges):.3g}" for edges in ends)
    assert f"sum of |score|: {into} in, {out} out" in page.locator("#tip").inner_text()
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


def test_figures_of_two_runs_fit_beside_each_other(tmp_path, open_page):
    path = tmp_path / "view.html"
    circuits = [seen_pages.circuit(), seen_pages.circuit(1, 50)]
    seen_pages.write(path, circuits, [Seen(), Seen()], curve=CURVE, found={"kl": 0.0123, "faithfulness": -0.0123})
    for fragment in ("", "shown=20"):
        table, box = (open_page(path, fragment).locator(one).bounding_box() for one in ("#figures", "#threshold"))
        assert table["width"] <= box["width"]


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
    assert page.evaluate("document.activeElement.dataset.node") == "a1.h0"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "tab-node"  # beside what is told of it
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
