"""Pages of a made-up circuit with made-up prompts and nodes, for tests of what is beside the graph."""

import re
from urllib.parse import parse_qs

import numpy as np

from acdc.circuit import Circuit
from acdc.explorer.comparison import comparison_tables
from acdc.explorer.data import graph_data
from acdc.explorer.evidence import evidence
from acdc.explorer.facts import glance
from acdc.explorer.page import page
from acdc.explorer.seen import Likely, Pattern, Seen, SeenNode, SeenPrompt, Written, to_json
from acdc.graph import Graph
from acdc.pairs.looking import ShownAnswer, ShownPair, ShownToken
from acdc.provenance import Provenance

HOSTILE = "</script><img src=x onerror=alert(1)>\u202e"
NAMES = (" Mary", " John", " Ann", " Tom", " Lucy")
HEADS = ("a0.h1", "a1.h0", "a2.h2")


def circuit(seed=0, n=60):
    """The `n` largest of random scores that lie on a path, in a model of three layers with three heads."""
    graph = Graph.from_config(n_layers=3, n_heads=3)
    scores = np.random.default_rng(seed).exponential(size=graph.n_edges) ** 2
    kept = np.zeros(graph.n_edges, dtype=bool)
    kept[np.argsort(-scores)[:n]] = True
    found = Provenance(task="ioi", model="made-up", method="eap-ig", metric="kl", options={"steps": 5 + seed})
    return Circuit(graph, graph.on_path(kept), scores, found)


def prompt(i, *, words=None, template="T1 {IO} met {S}", held_out=False):
    """A pair in which the circuit is the worse, the larger `i` is."""
    io, s, other = NAMES[i % 5], NAMES[(i + 1) % 5], NAMES[(i + 2) % 5]
    clean = words or ["When", io, " and", s, " went", " home", ",", s, " gave", " it", " to"]
    corrupted = [other if token == s and place == 7 else token for place, token in enumerate(clean)]
    spans = {1: ("IO",), 3: ("S1",), 7: ("S2",)}
    tokens = tuple(
        ShownToken(a, b, a != b, spans.get(place, ()))
        for place, (a, b) in enumerate(zip(clean, corrupted, strict=True))
    )
    answer = ShownAnswer(len(tokens) - 1, (io,), (s,), (other,))
    first = 0.9 - 0.08 * i
    likely = {
        "model": [[Likely(io, 0.9), Likely(s, 0.05), Likely(" the", 0.02), Likely(" her", 0.01), Likely(" a", 0.005)]],
        "circuit": [[Likely(io if i < 5 else s, first), Likely(" it", 0.05), Likely(" the", 0.04), *_few(2)]],
        "ablated": [[Likely(" the", 0.2), Likely(io, 0.1), Likely(s, 0.1), *_few(2)]],
    }
    values = {
        "model": {"kl": 0.0, "logit_difference": 3.2, "accuracy": 1.0},
        "circuit": {"kl": 0.1 * i, "logit_difference": 3 - i, "accuracy": float(i < 5)},
        "ablated": {"kl": 4.5, "logit_difference": 0.1, "accuracy": 0.5},
    }
    pair = ShownPair(f"ioi, pair {i}", tokens, (answer,), {"template": template})
    return SeenPrompt(pair, template, held_out, likely, values)


def seen(n=8):
    """Prompts of two templates, the last two held out, and what three heads do."""
    prompts = [
        prompt(i, template="T1 {IO} met {S}" if i % 2 else "T2 {S} saw {IO}", held_out=i >= n - 2) for i in range(n)
    ]
    draw = np.random.default_rng(0)
    nodes = {
        name: SeenNode(
            label="name mover" if at == 2 else None,
            detectors={"previous_token": 0.1 * at, "induction": 0.3 * at, "first_token": 0.05},
            direct=np.stack([draw.normal(at, 0.5, n), draw.normal(-0.3, 0.2, n)], axis=1),
            patterns={i: Pattern(_pattern(11, 10, 1), _pattern(11, 10, 3)) for i in range(3)},
            writes={0: [_written(token.clean) for token in prompts[0].pair.tokens]},
        )
        for at, name in enumerate(HEADS)
    }
    return Seen(prompts, nodes)


def write(path, circuits, found, /, **more):
    """A page of them."""
    runs = [
        {"label": f"run {i}", "folder": None, "n_edges": one.n_edges, "method": "eap-ig", "metric": "kl"}
        | {
            "threshold": None,
            "film": None,
            "evidence": evidence(one),
            "facts": glance(one, None),
            **to_json(what),
            **more,
        }
        for i, (one, what) in enumerate(zip(circuits, found, strict=True))
    ]
    together = comparison_tables(*circuits) if len(circuits) == 2 else []
    data = {"title": "made up", "graph": graph_data(circuits), "comparison": together, "runs": runs}
    path.write_text(page("made up", data), encoding="utf-8")
    return path


def _written(token):
    return Written([Likely(token, 1.5), Likely(" x", 0.5)], [Likely(" John", -2.5), Likely(" y", -0.25)])


def _few(n):
    return [Likely(f" w{i}", 0.01) for i in range(n)]


def _pattern(n, row, column):
    """Everything looks at the first token, and one at another, with 0.8."""
    weights = np.zeros((n, n))
    weights[:, 0] = 1
    weights[row, 0], weights[row, column] = 0.2, 0.8
    return weights


def text(page, selector="#tab"):
    """What the panel says, in one line."""
    return re.sub(r"\s+", " ", page.inner_text(f"#panel {selector}"))


def texts(page, selector):
    """The same of every element."""
    return [re.sub(r"\s+", " ", one).strip() for one in page.locator(f"#panel {selector}").all_inner_texts()]


def listed(page, part):
    """The text of a part of every row of the prompts' list, those that are scrolled away or not yet drawn too."""
    return [one.strip() for one in page.locator(f"#panel ol.prompts {part}").all_text_contents()]


def state(page):
    """What the address says of the page."""
    page.wait_for_timeout(350)  # the address is written with a pause
    return {name: value for name, (value,) in parse_qs(page.evaluate("location.hash.slice(1)")).items()}
