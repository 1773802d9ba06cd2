"""The diagram: what a reader takes from it is so, and nothing hides anything."""

import re
import time
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pygraphviz
import pytest

from acdc.circuit import Circuit, Provenance
from acdc.errors import SettingsError
from acdc.export import FORMATS, export_circuit
from acdc.graph import Graph

SHAPES = {
    "4x4": Graph.from_config(4, 4),
    "12x12": Graph.from_config(12, 12),
    "30x9": Graph.from_config(30, 9),
    "parallel": Graph.from_config(6, 8, parallel_attn_mlp=True),
    "attention-only": Graph.from_config(6, 8, attn_only=True),
    "split-input": Graph.from_config(4, 6, split_input=True),
    "heads-in-three-rows": Graph.from_config(2, 40),
    "one-head": Graph.from_config(8, 1),
}
SVG = "{http://www.w3.org/2000/svg}"
FOUND = Provenance(
    *("ioi", "gpt2", "acdc", "kl", "corrupted"),
    options={"threshold": 0.0575, "order": "default", "gates": False},
    n_prompts=50,
    metric_circuit=0.1834,
    metric_ablated=2.4417,
)


def grown(graph, n, seed=0):
    """A circuit of about `n` edges (or all): paths from the logits back to the input, some nodes on many of them."""
    rng = np.random.default_rng(seed)
    liking = rng.dirichlet(np.full(graph.n_sources, 0.15)) + 1e-3
    mask = np.zeros(graph.n_edges, dtype=bool)
    while mask.sum() < min(n, graph.n_edges // 2):
        slots = graph.slots[-1:]
        while slots:
            slot = slots[rng.integers(len(slots))]
            chances = liking[: slot.n_parents]
            source = int(rng.choice(slot.n_parents, p=chances / chances.sum()))
            mask[slot.first_edge + source] = True
            slots = graph.slots_of(graph.nodes[source])
    scores = np.where(mask, 10 ** rng.normal(-2.5, 0.8, graph.n_edges), 0.0)
    return Circuit(graph, graph.on_path(mask), scores, FOUND)


def exported(circuit, format, folder, **options):
    return export_circuit(circuit, format, folder / f"circuit{FORMATS[format]}", **options).read_bytes()


def drawn(circuit, folder, **options):
    """The diagram, read back by Graphviz."""
    return pygraphviz.AGraph(string=exported(circuit, "dot", folder, **options).decode())


def places(diagram):
    """Middle of each node's box, by name."""
    names = [name for name in diagram.nodes() if not name.startswith("layer")]
    return {name: np.array(diagram.get_node(name).attr["pos"].split(","), float) for name in names}


def box(diagram):
    """Half of a box's width and height."""
    return np.array([36 * float(diagram.node_attr[side]) for side in ("width", "height")])


def line(edge, n=400):
    """Points along an edge, densely, ``[points, 2]``, and the tip of its arrow."""
    tip, *points = (np.array(point.split(",")[-2:], float) for point in edge.attr["pos"].split())
    points = np.array(points)
    t = np.linspace(0, 1, n)[:, None]
    weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    return np.vstack([weights @ points[i : i + 4] for i in range(0, len(points) - 1, 3)]), tip


def texts(svg):
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def tooltips(diagram):
    return [edge.attr["tooltip"].split(",")[0] for edge in diagram.edges()]


@pytest.mark.parametrize("n", [10, 30, 100, 300])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_line_runs_behind_a_box_that_is_not_its_end(tmp_path, shape, n):
    diagram = drawn(grown(SHAPES[shape], n, seed=n), tmp_path)
    middles, half = places(diagram), box(diagram)
    for edge in diagram.edges():
        points, _ = line(edge)
        others = np.array([place for name, place in middles.items() if name not in edge])
        if len(others):
            inside = (np.abs(points[:, None] - others) < half + 1).all(2)  # and a point to spare
            assert not inside.any(), edge


@pytest.mark.parametrize("shape", SHAPES)
def test_lines_go_up_from_their_source_to_the_point_of_an_arrow_at_their_slot(tmp_path, shape):
    diagram = drawn(grown(SHAPES[shape], 100), tmp_path)
    middles, half = places(diagram), box(diagram)
    for edge in diagram.edges():
        points, tip = line(edge)
        source, target = middles[edge[0]], middles[edge[1]]
        assert (np.diff(points[:, 1]) >= -1e-6).all()
        assert points[0, 1] == pytest.approx(source[1] + half[1], abs=0.1)
        assert tip[1] == pytest.approx(target[1] - half[1], abs=0.1)
        assert points[-1, 0] == pytest.approx(tip[0], abs=0.1)
        letter = re.search(r"<(.)>", edge.attr["tooltip"])
        if letter:
            assert tip[0] - target[0] == pytest.approx({"q": -16, "k": 0, "v": 16}[letter[1]], abs=0.1)
        assert abs(tip[0] - target[0]) < half[0] - 5
        assert abs(points[0, 0] - source[0]) < half[0] - 5


@pytest.mark.parametrize("shape", SHAPES)
def test_heads_stand_in_numeric_order_and_apart(tmp_path, shape):
    diagram = drawn(grown(SHAPES[shape], 300), tmp_path)
    middles, half = places(diagram), box(diagram)
    layers = {}
    for name, place in middles.items():
        if found := re.fullmatch(r"a(\d+)\.h(\d+)", name):
            layers.setdefault(int(found[1]), []).append((int(found[2]), place[0]))
    for heads in layers.values():
        x = [x for _, x in sorted(heads)]
        assert x == sorted(set(x))
    points = np.array(list(middles.values()))
    overlap = (np.abs(points[:, None] - points) < 2 * half).all(2)
    assert (overlap == np.eye(len(points), dtype=bool)).all()


def test_widths_are_what_the_legend_says(tmp_path):
    circuit = grown(SHAPES["12x12"], 30)
    svg = ET.fromstring(exported(circuit, "svg", tmp_path))
    largest = np.abs(circuit.scores[circuit.in_graph]).max()
    diagram = drawn(circuit, tmp_path)
    widths = {edge.attr["tooltip"].split(",")[0]: float(edge.attr["penwidth"]) for edge in diagram.edges()}
    for edge in circuit.edges():
        size = abs(circuit.scores[edge.number])
        assert widths[edge.name] == pytest.approx(max(4 * (size / largest) ** 0.5, 0.6), abs=0.01)
    said = texts(exported(circuit, "svg", tmp_path))
    assert any("\N{SQUARE ROOT}|score|" in text for text in said)
    # A sample of each width, and beside it the score that has it.
    bars = [bar for bar in bars_of(svg) if bar in (4, 2, 1)]
    assert bars == [4, 2, 1]
    numbers = [text.strip("\N{NO-BREAK SPACE}") for text in said]
    for width in bars:
        assert f"{largest * (width / 4) ** 2:.2g}" in numbers


def bars_of(svg):
    """Heights of the dark rectangles without an outline, in order."""
    out = []
    for polygon in svg.iter(f"{SVG}polygon"):
        if polygon.get("fill") == "#4d4d4d" and polygon.get("stroke") == "none":
            y = [float(point.split(",")[1]) for point in polygon.get("points").split()]
            out.append(round(max(y) - min(y), 1))
    return out


def test_circuits_without_usable_scores_have_lines_alike_and_no_scale(tmp_path):
    circuit = grown(SHAPES["4x4"], 30)
    for value in (0.0, np.nan):
        same = replace(circuit, scores=np.full_like(circuit.scores, value))
        assert len({edge.attr["penwidth"] for edge in drawn(same, tmp_path).edges()}) == 1
        assert not any("width" in text for text in texts(exported(same, "svg", tmp_path)))


def test_an_infinite_score_is_as_wide_as_the_largest(tmp_path):
    circuit = grown(SHAPES["4x4"], 10)
    first = next(circuit.edges())
    circuit.scores[first.number] = -np.inf
    diagram = drawn(circuit, tmp_path, top=2)
    assert first.name in tooltips(diagram)
    assert {edge.attr["penwidth"] for edge in diagram.edges()} == {"4.00"}


@pytest.mark.parametrize(
    ("task", "model", "title"),
    [
        ("ioi", "tiny-tasks", "ioi on tiny-tasks"),
        ("/home/ann/data/My Pairs.jsonl", "/data/models/llama/", "My Pairs on llama"),
        ("data.v2/pairs.CSV", "EleutherAI/pythia-70m", "pairs on pythia-70m"),
        (r"C:\data\pairs.jsonl", "./gpt2", "pairs on gpt2"),
        ("pairs.json", "../..", "pairs on ../.."),
        (".jsonl", "Llama-3.1-8B", ".jsonl on Llama-3.1-8B"),
        (None, "a/b/gpt2", "gpt2"),
        ("x/y/pairs.csv", None, "pairs"),
        (None, None, "Circuit"),
    ],
)
def test_the_title_has_names_not_paths(tmp_path, task, model, title):
    circuit = replace(grown(SHAPES["4x4"], 10), found=replace(FOUND, task=task, model=model))
    assert texts(exported(circuit, "svg", tmp_path))[0] == title
    assert f"<h1>{title}</h1>" in exported(circuit, "html-table", tmp_path).decode()


def test_a_title_of_ones_own_is_text(tmp_path):
    circuit = grown(SHAPES["4x4"], 10)
    title = '<B>&amp; "own"</B> \\N\\G\\\\G\\l \x1b[31m\ud800 end'
    shown = '<B>&amp; "own"</B> \\N\\G\\\\G\\l \N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER} end'
    assert texts(exported(circuit, "svg", tmp_path, title=title))[0] == shown
    assert "ioi on gpt2" not in exported(circuit, "svg", tmp_path, title=title).decode()
    assert "<h1>&lt;B&gt;&amp;amp;" in exported(circuit, "html-table", tmp_path, title=title).decode()


def test_an_empty_title_leaves_it_out(tmp_path):
    assert texts(exported(grown(SHAPES["4x4"], 10), "svg", tmp_path, title=""))[0].endswith("ablation")


@pytest.mark.parametrize("title", ["long " * 100_000, "x" * 500_000], ids=["words", "word"])
def test_the_picture_stays_small_under_a_long_title(tmp_path, title):
    svg = exported(grown(SHAPES["4x4"], 10), "svg", tmp_path, title=title)
    width, height = (float(side) for side in re.search(rb'width="(\d+)pt" height="(\d+)pt"', svg).groups())
    assert width < 900
    assert height < 900


def test_long_names_from_a_file_keep_the_picture_small(tmp_path):
    found = replace(FOUND, task="t" * 9_999, model="m" * 9_999, method="x" * 99_999, metric="k" * 99_999)
    svg = exported(replace(grown(SHAPES["4x4"], 10), found=found), "svg", tmp_path)
    width, height = (float(side) for side in re.search(rb'width="(\d+)pt" height="(\d+)pt"', svg).groups())
    assert width < 1200
    assert height < 900


def test_top_draws_the_strongest_and_says_so(tmp_path):
    circuit = grown(SHAPES["12x12"], 80)
    by_size = sorted(circuit.edges(), key=lambda edge: -abs(circuit.scores[edge.number]))
    names = [edge.name for edge in by_size]
    assert sorted(tooltips(drawn(circuit, tmp_path, top=30))) == sorted(names[:30])
    said = f"30 strongest of {circuit.n_edges} edges"
    picture = " ".join(texts(exported(circuit, "svg", tmp_path, top=30)))
    assert said in picture
    assert "dead ends: edges left out" in picture
    assert "dead ends" not in " ".join(texts(exported(circuit, "svg", tmp_path)))
    page = exported(circuit, "html-table", tmp_path, top=np.int64(30)).decode()
    assert said in page
    assert page.count("<tr><td>") == 30
    assert re.findall(r"<tr><td>(.*?)</td>", page) == [edge.source.name for edge in by_size[:30]]


@pytest.mark.parametrize("top", [None, "all", pytest.param(10**5_000, id="huge")])
def test_a_whole_circuit_is_not_called_a_part(tmp_path, top):
    circuit = grown(SHAPES["4x4"], 30)
    top = circuit.n_edges if top == "all" else top
    assert len(drawn(circuit, tmp_path, top=top).edges()) == circuit.n_edges
    assert "strongest" not in exported(circuit, "svg", tmp_path, top=top).decode()


def test_among_equals_and_those_without_a_number_the_graph_order_decides(tmp_path):
    circuit = grown(SHAPES["4x4"], 30)
    edges = list(circuit.edges())
    circuit.scores[:] = np.nan
    for edge in edges[10:]:
        circuit.scores[edge.number] = -0.5
    assert sorted(tooltips(drawn(circuit, tmp_path, top=5))) == sorted(edge.name for edge in edges[10:15])


@pytest.mark.parametrize("top", [0, -1, pytest.param(-(10**5_000), id="huge"), 2.0, "5", True, [3]])
@pytest.mark.parametrize("format", ["svg", "html-table", "json"])
def test_top_that_is_no_number_of_edges_is_an_error(tmp_path, format, top):
    with pytest.raises(SettingsError, match="`top`"):
        exported(grown(SHAPES["4x4"], 10), format, tmp_path, top=top)
    assert not list(tmp_path.iterdir())


def test_a_title_that_is_no_text_is_an_error(tmp_path):
    with pytest.raises(SettingsError, match="`title` must be text, not of type int"):
        exported(grown(SHAPES["4x4"], 10), "svg", tmp_path, title=3)


@pytest.mark.parametrize("format", ["graphml", "json"])
@pytest.mark.parametrize("option", [{"top": 3}, {"title": "Mine"}])
def test_files_for_programs_hold_the_whole_circuit(tmp_path, format, option):
    with pytest.raises(SettingsError, match=rf"whole circuit; leave out `{next(iter(option))}`, which is for svg, png"):
        exported(grown(SHAPES["4x4"], 10), format, tmp_path, **option)
    assert not list(tmp_path.iterdir())


def test_a_circuit_too_large_to_draw_can_be_drawn_in_part(tmp_path, monkeypatch):
    monkeypatch.setattr("acdc.export._MAX_DRAWN", 20)
    circuit = grown(SHAPES["4x4"], 60)
    with pytest.raises(SettingsError, match="draw its strongest by `top`"):
        exported(circuit, "svg", tmp_path)
    assert exported(circuit, "svg", tmp_path, top=20)


def test_a_pdf_page_is_the_picture_and_no_more(tmp_path):
    circuit = grown(SHAPES["12x12"], 30)
    sides = re.search(rb'width="(\d+)pt" height="(\d+)pt"', exported(circuit, "svg", tmp_path)).groups()
    page = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", exported(circuit, "pdf", tmp_path)).groups()
    for side, picture in zip(page, sides, strict=True):
        assert float(side) == pytest.approx(float(picture), abs=3)
    diagram = drawn(circuit, tmp_path)
    right = max(place[0] for place in places(diagram).values()) + box(diagram)[0]
    left = min(float(diagram.get_node(name).attr["pos"].split(",")[0]) for name in diagram.nodes())
    assert float(page[0]) < right - left + 80  # a label of a layer, and nothing else


def test_a_pdf_does_not_say_when_it_was_drawn(tmp_path):
    content = exported(grown(SHAPES["4x4"], 30), "pdf", tmp_path)
    assert b"Date" not in content
    table = int(re.search(rb"startxref\s+(\d+)\s+%%EOF", content)[1])
    assert content[table:].startswith(b"xref")


def test_a_picture_of_five_thousand_edges_takes_seconds(tmp_path):
    circuit = grown(Graph.from_config(24, 16), 5_000)
    started = time.monotonic()
    dot = exported(circuit, "dot", tmp_path)
    assert time.monotonic() - started < 30
    assert len(dot) < 10_000_000
