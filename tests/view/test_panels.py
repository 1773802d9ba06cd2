"""What is beside the graph, in a browser: prompts, nodes and edges, evidence, two runs."""

from dataclasses import replace

import numpy as np
import pytest
import seen_pages
from seen_pages import HEADS, HOSTILE, listed, state, text, texts

from acdc.explorer.seen import Likely, Seen, SeenNode, Written

DASH = "\u2013"


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A page of a circuit, with what a model adds."""
    return seen_pages.write(tmp_path_factory.mktemp("one") / "view.html", [seen_pages.circuit()], [seen_pages.seen()])


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    circuits, found = [seen_pages.circuit(), seen_pages.circuit(1, 50)], [seen_pages.seen(), seen_pages.seen(4)]
    return seen_pages.write(tmp_path_factory.mktemp("two") / "view.html", circuits, found)


def test_prompts_stand_by_how_far_the_circuit_is_from_the_model(one, open_page):
    page = open_page(one, "tab=prompts")
    assert [float(kl) for kl in listed(page, ".number")] == [0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0]
    assert listed(page, ".mark") == ["✗", "✗", "✗", "✓", "✓", "✓", "✓", "✓"]
    assert texts(page, "article > h3") == ["ioi, pair 7, held out"]
    assert texts(open_page(one, "tab=prompts&prompt=2"), "article > h3") == ["ioi, pair 2, used to find the circuit"]


@pytest.mark.parametrize(
    ("select", "value", "expected"),
    [
        ("held", "held-out", [0.7, 0.6]),
        ("held", "used", [0.5, 0.4, 0.3, 0.2, 0.1, 0]),
        ("template", "T1 {IO} met {S}", [0.7, 0.5, 0.3, 0.1]),
    ],
)
def test_prompts_are_filtered_and_the_address_says_so(one, open_page, select, value, expected):
    page = open_page(one, "tab=prompts")
    page.select_option(f'#panel select[data-key="{select}"]', value)
    assert [float(kl) for kl in listed(page, ".number")] == expected
    assert state(page)[select] == value
    again = open_page(one, page.evaluate("location.hash.slice(1)"))
    assert [float(kl) for kl in listed(again, ".number")] == expected


def test_a_template_tells_how_it_fares_and_filters_when_it_is_clicked(one, open_page):
    page = open_page(one, "tab=prompts")
    rows = texts(page, "details.templates tbody tr")
    assert rows == ["T1 {IO} met {S} 4 0.4 50.0%", "T2 {S} saw {IO} 4 0.3 75.0%"]
    page.click("#panel details.templates tbody tr:nth-child(2) button")
    assert [float(kl) for kl in listed(page, ".number")] == [0.6, 0.4, 0.2, 0]


def test_a_pair_is_shown_token_over_token(one, open_page):
    page = open_page(one, "tab=prompts&prompt=7")
    cells = page.locator("#panel .place")
    assert cells.count() == 11
    assert texts(page, ".place.differs .token") == ["Tom", "Lucy"]
    assert [one for one in texts(page, ".place .span-name") if one] == ["IO", "S1", "S2"]
    assert page.locator("#panel .place.asked").count() == 1
    assert texts(page, ".place.asked .token")[0].startswith("to")


def test_the_likeliest_tokens_of_the_three_stand_beside_each_other(one, open_page):
    page = open_page(one, "tab=prompts&prompt=7")
    assert texts(page, ".likely h5") == ["model", "circuit", "ablated"]
    columns = [texts(page, f".likely > div:nth-child({i}) li") for i in (1, 2, 3)]
    assert [len(column) for column in columns] == [5, 5, 5]
    assert [column[0] for column in columns] == ["Ann 90.0%", "Tom 34.0%", "the 20.0%"]
    assert page.locator("#panel .likely > div:nth-child(1) li.right").count() == 1
    assert page.locator("#panel .likely > div:nth-child(2) li").first.get_attribute("class") == "wrong"
    widths = [bar.bounding_box()["width"] for bar in page.locator("#panel .likely > div:nth-child(1) .bar i").all()]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] / widths[1] == pytest.approx(18, rel=0.1)


def test_more_answer_positions_than_a_few_are_folded_away(tmp_path, open_page):
    prompt = seen_pages.prompt(0)
    pair = prompt.pair
    answers = tuple(type(pair.answers[0])(i, (" Mary",), (), ()) for i in range(5))
    many = type(prompt)(
        type(pair)(pair.where, pair.tokens, answers, pair.tags),
        None,
        False,
        {name: [likely[0]] * 5 for name, likely in prompt.likely.items()},
        prompt.values,
    )
    path = seen_pages.write(tmp_path / "view.html", [seen_pages.circuit()], [Seen([many])])
    page = open_page(path, "tab=prompts")
    assert page.locator("#panel .answer").count() == 5
    assert page.locator("#panel .answer:visible").count() == 3


def test_the_smallest_numbers_stay_in_their_columns(tmp_path, open_page):
    prompt = seen_pages.prompt(0)
    small = replace(prompt, values={**prompt.values, "circuit": {"kl": 8.88e-15, "accuracy": 1.0}})
    nodes = {"a0.h1": SeenNode(detectors={"induction": 8.88e-15})}
    page = open_page(
        seen_pages.write(tmp_path / "view.html", [seen_pages.circuit()], [Seen([small], nodes)]), "tab=prompts"
    )
    for what in ("ol.prompts .number", ".bars .number"):
        assert page.locator(f"#panel {what}").all_text_contents() == ["8.9e\u221215"]
        assert page.locator(f"#panel {what}").evaluate("one => one.scrollWidth <= one.clientWidth")
        page.evaluate("location.hash = 'pin=a0.h1'")
        page.wait_for_selector("#panel .bars")


def test_a_node_says_what_it_does(one, open_page):
    head, found = HEADS[2], seen_pages.seen()
    page = open_page(one, f"pin={head}")
    assert text(page, "h2") == f"{head} name mover"
    assert texts(page, ".bars li") == ["induction 0.6", "previous token 0.2", "first token 0.05"]
    right, wrong = found.nodes[head].direct.mean(0)
    assert f"adds +{right - wrong:.3g} to the difference" in text(page)
    assert f"+{right:.3g} to the right one" in text(page)
    assert page.locator("#panel .direct rect.more").count() == 8
    # At prompt 0 the last token looks at IO with 0.8 and at the first with 0.2.
    written = "section:has(> h3:text('OV'))"
    assert texts(page, f"{written} > .writes > .scrolled tbody tr") == [
        f"{token} {looked} {token}+1.5 x+0.5 John\u22122.5 y\u22120.25"
        for token, looked in (("Mary", 0.8), ("When", 0.2))
    ]
    assert texts(page, f"{written} summary") == ["9 tokens that it hardly looks at there"]
    assert texts(page, f"{written} thead th")[2:4] == ["raises the logits of", "lowers the logits of"]
    raised, lowered = (f"{written} > .writes > .scrolled td:nth-last-child({i})" for i in (2, 1))
    assert texts(page, f"{raised} .token.right") == ["Mary"]
    assert texts(page, f"{lowered} .token.wrong") == ["John", "John"]


def test_in_a_narrow_panel_what_a_head_raises_stands_above_what_it_lowers(one, open_page):
    for width, stacked in ((1400, False), (900, True), (360, True)):
        page = open_page(one, f"pin={HEADS[2]}", viewport={"width": width, "height": 900})
        row = page.locator("#panel .writes > .scrolled tbody tr").first
        raised, lowered = (row.locator("td").nth(i).bounding_box() for i in (2, 3))
        assert (lowered["y"] >= raised["y"] + raised["height"] - 1) == stacked
        assert (lowered["x"] >= raised["x"] + raised["width"] - 1) != stacked
        said = row.locator("td").evaluate_all("all => all.map((one) => getComputedStyle(one, '::before').content)")
        wanted = ['"looked at "', '"raises the logits of"', '"lowers the logits of"']
        assert said == ["none", *(wanted if stacked else ["none"] * 3)]
        assert page.locator("#panel .writes > .scrolled").evaluate("one => one.scrollWidth <= one.clientWidth")


def test_a_head_that_lowers_nothing_has_a_dash_there(tmp_path, open_page):
    prompt = seen_pages.prompt(0)
    writes = {0: [Written([Likely(" Mary", 1.0)]) for _ in prompt.pair.tokens]}
    path = seen_pages.write(
        tmp_path / "view.html", [seen_pages.circuit()], [Seen([prompt], {HEADS[0]: SeenNode(writes=writes)})]
    )
    rows = texts(open_page(path, f"pin={HEADS[0]}"), ".writes > .scrolled tbody tr")
    assert rows[0] == f"When Mary+1 {DASH}"


def test_where_a_head_looks_is_told_by_span(one, open_page):
    rows = texts(open_page(one, f"pin={HEADS[2]}"), "section:has(> h3:text('Where it looks')) tbody tr")
    assert rows[:2] == ["IO 0.8 0", "first token 0.2 0.2"]
    assert "S1 0 0.8" in rows


def test_a_token_of_several_spans_is_counted_once(tmp_path, open_page):
    prompt = seen_pages.prompt(0)
    tokens = tuple(replace(token, spans=(*token.spans, "name") if token.spans else ()) for token in prompt.pair.tokens)
    nodes = {HEADS[0]: SeenNode(patterns={0: seen_pages.seen().nodes[HEADS[0]].patterns[0]})}
    found = Seen([replace(prompt, pair=replace(prompt.pair, tokens=tokens))], nodes)
    page = open_page(seen_pages.write(tmp_path / "view.html", [seen_pages.circuit()], [found]), f"pin={HEADS[0]}")
    rows = texts(page, "section:has(> h3:text('Where it looks')) tbody tr")
    assert rows == ["IO, name 0.8 0", "first token 0.2 0.2", "S1, name 0 0.8"]
    assert "Where an answer is asked for it looks most at: IO, name (0.8)." in text(page)


def test_without_wrong_answers_the_right_ones_stand_alone(tmp_path, open_page):
    direct = np.stack([np.arange(8.0), np.full(8, np.nan)], axis=1)
    found = Seen(seen_pages.seen().prompts, {"a0.h1": SeenNode(direct=direct)})
    page = open_page(seen_pages.write(tmp_path / "view.html", [seen_pages.circuit()], [found]), "pin=a0.h1")
    assert "adds +3.5 to the right answer's logit" in text(page)


def test_a_pattern_is_read_with_pointer_and_keys_clean_corrupted_and_their_difference(one, open_page):
    page = open_page(one, f"pin={HEADS[2]}")
    assert "strongest but for the first token: to (10) to Mary (1), 0.8" in text(page, ".said")
    assert page.locator("#panel .map .more").count() == 12  # ten rows look at one token, the last at two
    page.click("#panel [data-key=pattern-difference]")
    assert page.locator("#panel .map .more").count() == page.locator("#panel .map .less").count() == 1
    page.focus("#panel .map")
    for key in ("ArrowDown", "ArrowRight"):  # the first puts the cursor there
        page.keyboard.press(key)
    assert text(page, ".said") == "to (10) looks at Mary (1): 0.8 clean, 0 corrupted"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert text(page, ".said") == "to (10) looks at John (3): 0 clean, 0.8 corrupted"
    assert state(page) == {"pin": HEADS[2], "pattern": "difference"}


def test_a_pattern_is_of_the_chosen_prompt_or_of_one_that_has_some(one, open_page):
    page = open_page(one, f"pin={HEADS[0]}&prompt=2")
    assert page.locator("#panel [data-key=prompt-of-node]").input_value() == "2"
    page = open_page(one, f"pin={HEADS[0]}&prompt=6")
    assert page.locator("#panel [data-key=prompt-of-node]").input_value() == "0"
    page.select_option("#panel [data-key=prompt-of-node]", "1")
    assert state(page)["prompt"] == "1"


def test_edges_lead_from_node_to_node_and_to_their_own_page(one, open_page):
    circuit = seen_pages.circuit()
    page = open_page(one)
    edge = circuit.strongest(1)[0]
    page.click(f'#panel [data-key="go-{edge.source.name}"]')
    out = page.locator("#panel section:has(> h3:text('Edges out'))")
    assert f"({sum(one.source == edge.source for one in circuit)} in the circuit)" in out.locator("h3").inner_text()
    out.locator("tbody tr").first.get_by_text("edge", exact=True).click()
    assert state(page)["pin"] == edge.name
    assert text(page, "h2") == edge.name
    assert f"score {circuit.scores[edge.number]:.3g}" in text(page)
    assert f"rank by |score| 1 of {circuit.graph.n_edges} drawn" in text(page)
    page.click(f'#panel [data-key="go-{edge.slot.node.name}"]')
    assert text(page, "h2") == edge.slot.node.name


def test_nothing_pinned_the_circuits_nodes_are_listed(one, open_page):
    page = open_page(one)
    circuit = seen_pages.circuit()
    live = {node.name for node in circuit.graph.nodes if circuit.graph.live_nodes(circuit.in_graph)[node.index]}
    assert set(texts(page, "tbody td:first-child")) == live
    page.click('#panel [data-key="go-m0"]')
    into, out = (
        [edge for edge in circuit if node(edge).name == "m0"] for node in (lambda e: e.slot.node, lambda e: e.source)
    )
    best = [max(edges, key=lambda edge: circuit.scores[edge.number]) for edges in (into, out)]
    assert f"It reads most from {best[0].source.name}, score" in text(page)
    assert f"it is read most by {best[1].slot.name}, score" in text(page)
    rank = sorted((-abs(circuit.scores)).tolist()).index(-abs(circuit.scores[best[1].number])) + 1
    assert f"Its edge to {best[1].slot.name} has rank {rank} by |score|, of the {circuit.graph.n_edges} drawn." in text(
        page
    )
    assert "Nothing here is called a9.h9" in text(open_page(one, "pin=a9.h9"))


def test_a_decision_is_told_on_its_edges_page(tmp_path, open_page):
    circuit = seen_pages.circuit()
    edge = circuit.strongest(1)[0]
    path = tmp_path / "view.html"
    numbers = list(circuit.graph.edges(np.ones(circuit.graph.n_edges, dtype=bool)))
    at = numbers.index(edge)  # all of so small a graph are drawn, in the graph's order
    film = {
        "edge": [-1, at],
        "name": {"0": "12 edges that aren't drawn"},
        "count": [12, 1],
        "before": [0.1, 0.25],
        "after": [0.25, 0.75],
        "kept": "01",
        "gone": [None] * len(numbers),
    }
    seen_pages.write(path, [circuit], [seen_pages.seen()], film=film, threshold=0.1)
    page = open_page(path, f"pin={edge.name}")
    assert "Decision 13 of 13: without it kl goes from 0.25 to 0.75 (+0.5), so that it is kept." in text(page)
    page.click("#panel button:text('see it in the film')")
    assert state(page)["film"] == "2"
    page.click(f'#panel [data-key="go-{edge.source.name}"]')
    why = f"It is kept because without its edge to {edge.slot.name} kl changes by +0.5; the threshold is 0.1."
    assert why in text(page)


def test_the_panel_is_used_by_keyboard_alone(one, open_page):
    page = open_page(one)
    page.focus("#tab-node")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-prompts"
    page.keyboard.press("End")
    assert state(page)["tab"] == "runs"
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-node"
    page.keyboard.press("ArrowRight")
    page.focus('#panel [data-key="prompt-7"]')
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.key") == "prompt-5"
    assert text(page, "article > h3").startswith("ioi, pair 5")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_what_is_pinned_in_the_graph_has_its_page_opened(one, open_page):
    page = open_page(one, "tab=evidence")
    page.click('#graph [data-node="m0"]')
    assert text(page, "h2") == "m0"
    assert state(page) == {"pin": "m0"}
    page.click("#tab-evidence")  # which stays open, as long as nothing else is pinned
    assert page.get_attribute("#tab-evidence", "aria-selected") == "true"
    page.keyboard.press("Escape")
    assert page.get_attribute("#tab-evidence", "aria-selected") == "true"


def test_evidence_is_shown_as_it_was_made(tmp_path, open_page):
    table = {"title": "Sums", "columns": ["at", "sum"], "rows": [["a0", "1.5"], ["m0", None]], "note": "off by 0.1"}
    path = tmp_path / "view.html"
    found = Seen(missing=["The model is gone; give it with `model`."])
    seen_pages.write(path, [seen_pages.circuit()], [found], evidence=[table])
    page = open_page(path, "tab=evidence")
    assert texts(page, "section:has(> h3:text('Sums')) tr") == ["at sum", "a0 1.5", "m0"]
    assert "off by 0.1" in text(page)
    assert "The model is gone; give it with `model`." in text(page)


@pytest.mark.parametrize("tab", ["prompts", "node&pin=a0.h1"])
def test_without_a_model_the_page_says_what_it_would_add(tmp_path, open_page, tab):
    path = seen_pages.write(tmp_path / "view.html", [seen_pages.circuit()], [Seen()])
    assert "no model was run. Draw the page anew with it: acdc view RUN." in text(open_page(path, f"tab={tab}"))
    path = seen_pages.write(tmp_path / "view.html", [seen_pages.circuit()], [Seen(missing=["It is gone."])])
    assert "It is gone." in text(open_page(path, f"tab={tab}"))


def test_what_is_unknown_is_a_dash(tmp_path, open_page):
    nothing = float("nan")
    prompt = seen_pages.prompt(0)
    states = {name: dict.fromkeys(values, nothing) for name, values in prompt.values.items()}
    prompts = [replace(prompt, values=states), replace(prompt, values={}, likely={})]
    node = SeenNode(detectors={"induction": nothing}, direct=np.full((2, 2), nothing))
    path = seen_pages.write(tmp_path / "view.html", [seen_pages.circuit()], [Seen(prompts, {"a0.h1": node})])
    assert listed(open_page(path, "tab=prompts"), ".number") == [DASH, DASH]
    assert texts(open_page(path, "pin=a0.h1"), ".bars .number") == [DASH]


def test_whatever_text_there_is_it_stays_text(tmp_path, open_page):
    tokens = [HOSTILE, " <b>", "&amp;", "\n", "\u202e", "\ud800", "", "a" * 300, " it", " to", " x"]
    prompts = [seen_pages.prompt(0, words=tokens, template=HOSTILE), seen_pages.prompt(1)]
    node = SeenNode(
        label=HOSTILE,
        detectors={HOSTILE: 0.5},
        direct=np.ones((2, 2)),
        patterns={0: seen_pages.seen().nodes[HEADS[0]].patterns[0]},
        writes={0: [Written([Likely(HOSTILE, 1.0)], [Likely(HOSTILE, -1.0)])]},
    )
    path, found = tmp_path / "view.html", Seen(prompts, dict.fromkeys(HEADS, node), missing=[HOSTILE])
    table = {"title": HOSTILE, "columns": [HOSTILE, ""], "rows": [[HOSTILE, HOSTILE]], "note": HOSTILE}
    circuits = [seen_pages.circuit(), seen_pages.circuit(1)]
    more = {"evidence": [table], "label": HOSTILE, "facts": [[HOSTILE, HOSTILE]], "metric": HOSTILE}
    seen_pages.write(path, circuits, [found, found], **more)
    for tab in ("node", f"node&pin={HEADS[0]}", f"node&pin={HOSTILE}", "prompts", "evidence", "runs"):
        page = open_page(path, f"tab={tab}")
        assert page.locator("#panel img, #panel script, #panel b:text('<')").count() == 0
        shown = page.inner_text("#panel")
        assert "</script><img src=x onerror=alert(1)>\\u{202e}" in shown
        assert "\u202e" not in shown
        width = page.evaluate("[panel.scrollWidth, panel.clientWidth]")
        assert width[0] <= width[1] + 1  # nothing sticks out


_CONTRAST = """
() => {
  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).map((value) => channel(Number(value) / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (!/^rgba.*, 0\\)$/.test(colour)) return colour;
    }
    return getComputedStyle(document.documentElement).colorScheme === "dark" ? "rgb(0, 0, 0)" : "rgb(255, 255, 255)";
  };
  const found = [];
  for (const element of document.querySelectorAll("#panel *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest("svg, select, [aria-pressed=false].count")) continue;
    const [one, other] = [light(getComputedStyle(element).color), light(behind(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) found.push([element.outerHTML.slice(0, 80), contrast]);
  }
  return found;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_is_legible_in_both_themes(two, open_page, scheme):
    for tab in ("node", f"node&pin={HEADS[2]}", "prompts", "evidence", "runs"):
        page = open_page(two, f"tab={tab}", color_scheme=scheme)
        assert page.evaluate(_CONTRAST) == [], tab


def test_on_paper_lists_are_whole(one, open_page):
    page = open_page(one, "tab=prompts")
    page.emulate_media(media="print")
    assert page.evaluate("(list => list.scrollHeight <= list.clientHeight + 1)(document.querySelector('ol.prompts'))")
