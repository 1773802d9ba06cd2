"""Trained and compiled models whose circuits are known: discovery finds them.

The models aren't part of the project; each test skips where its model is missing. The
prompts in ``data/`` are pairs of which the models get (nearly) all right.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from acdc import discover, find_task, load_model
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.metrics import find_metric

MODELS = Path(__file__).parents[2] / "shared" / "models"
DATA = Path(__file__).parent / "data"


def folder(name):
    """The folder of a model, or the reason why the test skips."""
    if not (MODELS / name).is_dir():
        pytest.skip(f"needs the model {name}, which isn't part of the project (looked in {MODELS})")
    return MODELS / name


def names(circuit):
    return {edge.name for edge in circuit.edges()}


def compiled_edges(model_folder):
    """The edges that a compiled model's weights imply, in our names: ``a0.h0.q`` is ``a0.h0<q>``."""
    edges = json.loads((model_folder / "config.json").read_text())["ground_truth"]["edges"]
    slots = {
        slot: f"{slot[:-2]}<{slot[-1]}>" if slot.startswith("a") and "." in slot[2:] else slot for _, slot, _ in edges
    }
    return {f"{source}->{slots[slot]}" for source, slot, _ in edges}


#: Compiled edges that carry the same for every input, so that nothing is lost without them.
OPTIONAL = {
    "tracr-reverse": {"embed->a0.h0<q>", "embed->a0.h0<k>", "embed->a3.h0<q>", "embed->a3.h0<k>"},
    "tracr-xproportion": {"embed->a1.h0<q>", "embed->a1.h0<k>"},
}


@pytest.mark.parametrize("name", OPTIONAL)
def test_the_compiled_edges_are_recovered(name):
    model = load_model(folder(name))
    compiled = compiled_edges(MODELS / name)
    run = discover(
        model,
        DATA / f"{name}.jsonl",
        metric="l2",
        ablation="zero",
        split_input=True,
        threshold=1e-3,
        progress=False,
    )
    assert names(run.circuit) == compiled - OPTIONAL[name]
    assert compiled > OPTIONAL[name]

    prompts = find_task(DATA / f"{name}.jsonl").prompts(None)
    engine = ReferenceEngine(prepare(model, prompts, ablation="zero", split_input=True), find_metric("l2"))
    graph = run.circuit.graph

    def l2(edges):
        kept = np.zeros(graph.n_edges, dtype=bool)
        kept[[graph.edge(edge).number for edge in edges]] = True
        return engine.metric_of(kept)

    assert l2(compiled) < 1e-3
    assert l2(names(run.circuit)) < 1e-3
    for edge in run.circuit.edges():  # and no other compiled edge is optional
        assert l2(compiled - {edge.name}) > 1e-2


@pytest.fixture(scope="module")
def induction_model():
    return load_model(folder("gbmi-induction-2L1H"))


def test_the_induction_head_reads_the_previous_token_head_by_its_key(induction_model):
    run = discover(induction_model, DATA / "induction.jsonl", threshold=0.1, progress=False)
    assert names(run.circuit) == {
        "input->a0.h0<v>",
        "a0.h0->a1.h0<k>",
        "input->a1.h0<q>",
        "input->a1.h0<v>",
        "a1.h0->logits",
    }
    used = run.record.results.used
    assert used.model.accuracy > 0.9
    assert used.circuit.metrics["kl"] < 0.1 * used.ablated.metrics["kl"]


def test_a_small_part_of_a_language_model_agrees_in_gender():
    path = DATA / "gender.jsonl"
    assert len(path.read_text().splitlines()) >= 40
    # Gates leave out whole slots at once: a tenth of the edges is tried.
    run = discover(folder("stories260K"), path, n=4, threshold=0.01, gates=True, progress=False)
    used = run.record.results.used
    assert used.model.accuracy == 1
    assert used.ablated.logit_difference < -1  # of the other gender
    assert run.circuit.n_edges < 0.05 * run.circuit.graph.n_edges
    assert used.circuit.metrics["kl"] < 0.2 * used.ablated.metrics["kl"]
    assert used.circuit.logit_difference > 0
    assert any(name.startswith("input->") for name in names(run.circuit))


def test_all_gender_pairs_are_clear_cases():
    model = load_model(folder("stories260K"))
    prompts = find_task(DATA / "gender.jsonl").prompts(model.tokenizer)
    setting = prepare(model, prompts)
    right, wrong = setting.answers.right[:, 0], setting.answers.wrong[:, 0]
    rows = np.arange(len(prompts))
    for logits, better, worse in (
        (setting.model_logits, right, wrong),
        (setting.corrupted_logits, wrong, right),
    ):
        assert (logits[rows, better] - logits[rows, worse]).min() > 1


def test_a_sorting_model_without_a_tokenizer():
    run = discover(folder("nano-sort-gpt2"), DATA / "sorting.jsonl", n=4, threshold=0.3, progress=False)
    used = run.record.results.used
    assert used.model.accuracy == 1
    assert 0 < run.circuit.n_edges < 0.5 * run.circuit.graph.n_edges
    assert used.circuit.metrics["kl"] < used.ablated.metrics["kl"]
