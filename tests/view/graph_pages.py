"""Pages of made-up circuits with decisions and curves, and what is seen on them, for tests of the graph."""

from urllib.parse import parse_qs

import numpy as np
from seen_pages import circuit, write

from acdc.circuit import Circuit
from acdc.decision import Decision
from acdc.explorer.data import film_data, graph_data
from acdc.explorer.seen import Seen
from acdc.graph import Graph
from acdc.provenance import Provenance

CURVE = [
    {"asked": 10, "n_edges": 7, "figures": {"kl": 2.0, "faithfulness": 0.2}},
    {"asked": 40, "n_edges": 30, "figures": {"kl": 1.0, "faithfulness": 0.6}},
    {"asked": 160, "n_edges": 150, "figures": {"kl": 0.1, "faithfulness": None}},
]


def decided(graph, seed=0, *, gates=False):
    """Decisions as ACDC makes them, from the logits down, and the circuit that they leave."""
    draw = np.random.default_rng(seed)
    kept, scores = np.ones(graph.n_edges, dtype=bool), np.zeros(graph.n_edges)
    decisions, metric = [], 0.0
    for slot in reversed(graph.slots):
        if slot.node.kind != "logits" and not any(
            kept[edge.number] for edge in graph.edges() if edge.source is slot.node
        ):
            kept[slot.edges] = False  # nothing reads its node any more, so that its edges aren't tried
            continue
        if gates and slot.letter == "q":
            decisions.append(Decision(slot, None, metric, metric + 0.01, False))
            metric += 0.01
            kept[slot.edges] = False
            continue
        for source in reversed(graph.nodes[: slot.n_parents]):
            effect, stays = float(draw.exponential(0.02)), bool(draw.random() < 0.3)
            decisions.append(Decision(slot, source, metric, metric + effect, stays))
            scores[slot.first_edge + source.index] = effect
            if not stays:
                metric += effect
                kept[slot.first_edge + source.index] = False
    return decisions, Circuit(graph, kept, scores, Provenance(method="acdc", metric="kl"))


def write_film(path, *, gates=False):
    """A page of a circuit with its film; gives decisions and circuit too."""
    graph = Graph.from_config(n_layers=2, n_heads=2)
    decisions, found = decided(graph, gates=gates)
    film = film_data(graph, graph_data([found]), decisions, found.in_graph)
    return write(path, [found], [Seen()], film=film, method="acdc"), decisions, found


def write_curve(path):
    """A page of :func:`seen_pages.circuit` with a curve."""
    return write(path, [circuit()], [Seen()], curve=CURVE, found={"kl": 0.9, "faithfulness": 0.65})


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
