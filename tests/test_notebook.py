"""What a notebook shows: diagrams, tables and tokens, in which text from files is text, and never an error."""

import dataclasses
import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from tiny import save_gpt2

import acdc
from acdc.analysis import logit_lens
from acdc.circuit import Circuit, Provenance
from acdc.graph import Graph
from acdc.pairs.given import GivenPairs
from acdc.results import Behaviour, Evaluation

EVIL = "<script>alert(1)<img onerror=alert(2)>\x1b[31m"
#: What forms are made of.
TAGS = {"div", "p", "b", "span", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "img"}


class Read(HTMLParser):
    """The tags and the text of some HTML; every tag must be closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.attributes, self.text = set(), [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [name for name, _ in attrs]
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += f" {data}"


def shown(thing):
    """What a notebook shows of it, checked."""
    found = thing._repr_html_()
    assert found is not None
    read = Read(found)
    assert read.tags <= TAGS
    assert set(read.attributes) <= {"style", "class", "title", "alt", "src"}
    assert "\x1b" not in found
    return read


@pytest.fixture(scope="module")
def pairs():
    return [
        acdc.PromptPair(
            "Mary met John. Ann saw", "Mary met John. Mary saw", answers=[[" Ann"]], wrong_answers=[[" John"]]
        ),
        acdc.PromptPair(
            "John met Ann. Mary saw", "John met Ann. John saw", answers=[[" Mary"]], wrong_answers=[[" Ann"]]
        ),
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return acdc.load_model(save_gpt2(tmp_path_factory.mktemp("gpt2") / "tiny", with_tokenizer=True))


@pytest.fixture(scope="module")
def prompts(model, pairs):
    return acdc.prompts(model, pairs)


def circuit(task="ioi"):
    graph = Graph.from_config(n_layers=2, n_heads=2)
    kept = np.zeros(graph.n_edges, dtype=bool)
    kept[[graph.edge(name).number for name in ("input->a0.h0<q>", "a0.h0->m0", "m0->logits")]] = True
    scores = np.where(kept, np.arange(graph.n_edges) + 1.0, 0.0)
    return Circuit(graph, kept, scores, Provenance(task=task, model="gpt2", method="acdc"))


def test_a_graph_shows_its_kinds_of_nodes_and_counts_their_edges():
    read = shown(Graph.from_config(n_layers=12, n_heads=12))
    assert "158 nodes and 32,491 edges" in read.text
    assert "a0.h0 … a11.h11" in read.text
    assert read.text.endswith("1 157")  # one node of logits, which all others write to
    counts = [int(number.replace(",", "")) for number in re.findall(r" ([\d,]+)(?= |$)", read.text)][-8:]
    assert sum(counts[::2]) == 158
    assert sum(counts[1::2]) == 32_491


def test_a_circuit_shows_a_diagram_its_facts_and_its_strongest_edges():
    read = shown(circuit())
    assert "img" in read.tags
    assert "ioi on gpt2" in read.text
    assert "3 of 46 edges" in read.text
    assert "m0->logits" in read.text


def test_a_circuit_without_edges_says_so():
    nothing = circuit().without_edges("*->*")
    assert "No edge is kept." in shown(nothing).text


def test_a_circuit_without_graphviz_still_shows_its_tables(monkeypatch):
    from acdc.export import render

    monkeypatch.setattr(render, "_packages_with", lambda name: None)
    monkeypatch.setattr(render.shutil, "which", lambda *args, **options: None)
    read = shown(circuit())
    assert "img" not in read.tags
    assert "No diagram: " in read.text
    assert "m0->logits" in read.text


def test_text_of_files_stays_text():
    read = shown(circuit(task=EVIL))
    assert "<script>" in read.text


def test_roles_of_a_circuits_file_stand_beside_its_nodes():
    found = dataclasses.replace(circuit().found, further={"roles": {EVIL: ["a0.h0"], "mover": ["m0"]}})
    read = shown(dataclasses.replace(circuit(), found=found))
    assert "mover" in read.text
    assert "role" in read.text


def test_prompts_show_clean_over_corrupted_with_what_differs_marked(prompts):
    found = prompts._repr_html_()
    marked = [html.unescape(text) for text in re.findall(r"underline[^>]*>([^<]*)<", found)]
    assert marked == [" Ann", " Mary", " Mary", " John"]
    assert "right ' Ann'; wrong ' John'" in html.unescape(found)
    shown(prompts)


def test_a_pair_shows_the_same(prompts, model):
    read = shown(acdc.shown_pair(prompts.pairs[0], model.tokenizer))
    assert "clean Mary  met" in read.text
    assert "corrupted Mary  met" in read.text


def test_prompts_say_in_one_line_what_they_are(prompts):
    assert repr(prompts) == "PromptSet(2 pairs of 'prompt pairs', 6 tokens, lined up token by token)"


def test_prompts_of_token_ids_show_their_numbers(model):
    pair = acdc.PromptPair((1, 4, 2), (3, 4, 2), where=EVIL)
    prompts = GivenPairs("ids", [pair]).prompts(None)
    read = shown(prompts)
    assert " 1 4 2 " in read.text
    assert "<script>" in read.text


def test_many_and_long_prompts_are_cut(model):
    pairs = [acdc.PromptPair((number, *range(1, 200)), (number + 1, *range(1, 200))) for number in range(1, 31)]
    read = shown(GivenPairs("ids", pairs).prompts(None))
    assert "And 20 more pairs." in read.text
    assert read.text.count("…") == 20
    assert len(read.text) < 10_000


def test_a_task_shows_its_corruptions():
    task = acdc.find_task("ioi")
    read = shown(task)
    assert all(name in read.text for name in task.corruptions)
    assert task.source in read.text
    assert repr(task).startswith("TemplateTask('ioi': ")


def test_a_model_shows_its_nodes_in_transformerlens_terms(model):
    read = shown(model)
    assert 'cache["blocks.{l}.attn.hook_z"][:, :, {h}] @ bridge.blocks[{l}].attn.W_O[{h}]' in read.text
    assert "W_E[token] + W_pos[position]" in read.text
    lines = str(model).splitlines()
    assert lines[0] == repr(model)
    assert any(line.startswith("a{l}.h{h} ") and "writes" in line and "hook_z" in line for line in lines)


@pytest.mark.random_models
def test_a_setting_a_run_and_an_evaluation_show_their_figures(model, prompts, pairs):
    setting = acdc.set_up(model, prompts)
    assert len(repr(setting)) < 300
    assert "2 predictions" in shown(setting).text
    run = acdc.discover(model, pairs, threshold=0.001, progress=False)
    read = shown(run)
    assert "Run of acdc on" in read.text
    assert "worse by kl" in read.text
    assert all(sentence in read.text for sentence in run.verdict)
    assert "complement" in shown(run.used).text
    report = acdc.evaluate(run, model, pairs, progress=False, split="train")
    assert "Report of 1 judgement" in shown(report).text
    assert "the worst prompts" in shown(report[0]).text


def test_an_evaluation_says_where_faithfulness_is_not_defined():
    states = {name: Behaviour.of({"kl": np.zeros(2)}) for name in ("model", "corrupted", "circuit", "ablated")}
    read = shown(Evaluation(2, **states, faithfulness_metric="kl"))
    assert read.text.count("not defined") == 4
    assert "kl" in shown(states["model"]).text


def test_what_cannot_be_shown_is_left_to_the_plain_text(monkeypatch):
    broken = circuit()
    monkeypatch.setattr(Graph, "live_nodes", lambda *args: 1 / 0)
    assert broken._repr_html_() is None
    assert "3 of" in repr(broken)


def test_ipython_takes_the_form_and_else_the_text(monkeypatch):
    formatters = pytest.importorskip("IPython.core.formatters")
    shell = formatters.DisplayFormatter(active_types=["text/plain", "text/html"])
    data, _ = shell.format(circuit())
    assert data["text/html"].startswith('<div class="acdc">')
    assert data["text/plain"] == "Circuit(3 of 46 edges)"
    monkeypatch.setattr(Circuit, "nodes", lambda self: 1 / 0)
    monkeypatch.setattr(Graph, "on_path", lambda *args: 1 / 0)
    monkeypatch.setattr(Circuit, "__repr__", lambda self: "plain")
    data, _ = shell.format(circuit())
    assert data == {"text/plain": "plain"}
    assert "text/html" not in shell.format(Circuit)[0]  # of the class itself


def test_a_prompt_set_is_the_same_whatever_tokenizer_shows_it(prompts):
    assert dataclasses.replace(prompts, tokenizer=None) == prompts
    assert prompts.tokenizer is not None


def test_a_look_shows_its_plot_and_folds_its_numbers():
    shown = logit_lens(acdc.set_up("tiny-tasks", "ioi", n=2))._repr_html_()
    assert Read(shown).tags <= TAGS
    assert "data:image/png;base64," in shown
    assert "<details><summary>5 rows of numbers</summary>" in shown


def test_a_task_check_shows_a_row_for_every_corruption():
    found = acdc.check_task("tiny-tasks", "ioi", n=2, corruption="swapped-names")
    shown = found._repr_html_()
    assert Read(shown).tags <= TAGS
    assert shown.count("<tr>") == 3
    assert "swapped-names" in shown
