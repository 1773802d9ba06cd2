"""Planted models: their circuits are what they are said to be, and ACDC finds them."""

import json
import subprocess
import sys
from functools import cache
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from acdc import discover, find_task, load_model
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.errors import AcdcError, RunFolderError, SettingsError, UnknownNameError
from acdc.graph import Graph
from acdc.metrics import find_metric
from acdc.models.symbols import symbol_tokenizer
from acdc.pairs import finding
from acdc.planted import Parameters, planted, planted_names
from acdc.planted.names import parsed

pytestmark = pytest.mark.drawn

SMALL = "planted-random-L3-H3-D48-E24-S1"


@cache
def opened(name):
    return load_model(name)


def single_losses(name, n=20):
    """How much KL each edge's ablation alone costs, by the edge's name."""
    model = planted(name)
    tokenizer = symbol_tokenizer(model.vocabulary)
    prompts = find_task(name).prompts(tokenizer, n, corruption=model.settings.corruption)
    engine = ReferenceEngine(prepare(opened(name), prompts), find_metric("kl"))
    graph = model.graph
    found = {}
    for edge in graph.edges():
        kept = np.ones(graph.n_edges, dtype=bool)
        kept[edge.number] = False
        found[edge.name] = engine.metric_of(kept)
    return found


@cache
def run_on(name, **other):
    """A run with the model's own settings, or others."""
    about = planted(name).settings
    given = {"threshold": about.threshold, "metric": about.metric, "corruption": about.corruption, **other}
    return discover(opened(name), name, ablation=about.ablation, n=about.n, progress=False, **given)


def recovered(name, **other):
    """The names of the edges that ACDC finds."""
    return {edge.name for edge in run_on(name, **other).circuit}


@pytest.mark.parametrize("name", planted_names())
def test_acdc_recovers_the_circuit_with_the_settings_that_its_page_names(name):
    assert planted(name).recovered_by(recovered(name))
    assert recovered(name, engine="reference") == recovered(name)


@pytest.mark.parametrize("name", planted_names())
def test_the_model_does_its_task_and_every_true_edge_alone_matters(name):
    model = planted(name)
    assert run_on(name).used.model.accuracy == 1
    assert run_on(name).held_out.model.accuracy == 1
    for edge, loss in single_losses(name).items():
        if edge in model.known_part:
            assert loss > 0.2, edge
        else:  # of an OR, either branch can be missed
            assert loss < 2e-3, edge


def test_of_an_or_greedy_pruning_keeps_one_branch_and_of_an_and_both():
    assert recovered("planted-or") < planted("planted-or").edges
    assert len(planted("planted-or").branches) == 2
    assert planted("planted-or").known_part == {"m0->logits"}
    # The branch that is tried last stays.
    assert recovered("planted-or", order="increasing") != recovered("planted-or")
    assert planted("planted-or").recovered_by(recovered("planted-or", order="increasing"))
    assert recovered("planted-and") == planted("planted-and").edges
    # If one word alone is changed, only its branch carries anything.
    assert recovered("planted-and", corruption="first-tool") == {"input->a0.h0<v>", "a0.h0->m0", "m0->logits"}


def test_what_is_recovered_is_exact():
    model = planted("planted-or")
    first, second = model.branches
    assert not model.recovered_by(model.edges)
    assert not model.recovered_by(model.known_part)
    assert model.recovered_by(model.known_part | second)
    assert not planted("planted-and").recovered_by(model.known_part | first)


@pytest.mark.parametrize("name", planted_names())
def test_the_vocabulary_is_the_tasks(name):
    assert find_task(name).vocabulary == planted(name).vocabulary


@pytest.mark.parametrize(
    "name",
    [
        "planted-random-L1-H4-D24-E8-S0",
        SMALL,
        "planted-random-L6-H8-D128-E300-S3-N0.1",
        "planted-random-L12-H12-D192-E2000-S0",
    ],
)
def test_a_generated_program_has_as_many_edges_as_asked_for_all_on_a_path(name):
    model = planted(name)
    circuit = model.circuit
    assert circuit.n_edges == len(model.edges) == int(name.split("-E")[1].split("-")[0])
    assert circuit.n_astray == 0
    assert model.name == name
    again = planted(name)
    assert again.edges == model.edges
    assert all(np.array_equal(again.weights[key], weight) for key, weight in model.weights.items())


def test_another_seed_is_another_program():
    assert planted(SMALL).edges != planted(SMALL.replace("S1", "S2")).edges


def test_every_true_edge_of_a_generated_model_matters_and_no_other_does():
    model = planted(SMALL)
    for edge, loss in single_losses(SMALL).items():
        assert loss > 0.01 if edge in model.edges else loss < 1e-5, (edge, loss)


def test_noise_makes_other_edges_matter_a_little():
    model = planted(f"{SMALL}-N0.05")
    assert model.edges == planted(SMALL).edges
    losses = single_losses(model.name)
    others = [loss for edge, loss in losses.items() if edge not in model.edges]
    true = [losses[edge] for edge in model.edges]
    assert 1e-5 < np.mean(others) < 0.02 * np.mean(true)


def test_acdc_recovers_a_generated_circuit_exactly():
    assert recovered(SMALL) == planted(SMALL).edges
    assert recovered(f"{SMALL}-N0.01", threshold=3e-3) == planted(SMALL).edges


def test_a_generated_models_prompts():
    made = find_task(SMALL).prompts(symbol_tokenizer(planted(SMALL).vocabulary), n=20)
    held_out = find_task(SMALL).prompts(symbol_tokenizer(planted(SMALL).vocabulary), n=20, split="test")
    for pair in made.pairs:
        assert pair.clean[0] == pair.corrupted[0] == 0
        assert not set(pair.clean[1:]) & set(pair.corrupted[1:])
    assert not {pair.clean for pair in made.pairs} & {pair.clean for pair in held_out.pairs}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("planted-random-L4-H4-D16-E20-S0", "must be at least 32"),
        ("planted-random-L2-H2-D64-E500-S0", "at most 28 true edges"),
        ("planted-random-L4-H4-D99999-E20-S0", "at most 4,096"),
        ("planted-random-L4-H4-D64-E20-S0-N2", "at most 1"),
        ("planted-random-L4-H4-D64-E2-S0", "no program of exactly 2 true edges for .* possible is 4"),
        ("planted-random-L4-H4-D64-E6-S0", "no program of exactly 6 true edges for .* possible is 7"),
        ("planted-random-L1-H4-D64-E9-S0", "no program of exactly 9 true edges for 1 layer of 4 heads.* is 8"),
        ("planted-random-L1-H1-D16-E4-S0", "too small for 1 layer of 1 head,"),
        # Refused before anything is made.
        ("planted-random-L1-H4000-D4096-E20-S0", "589,824,000 weights; .* at most 50,000,000"),
        ("planted-random-L4000-H1-D4096-E20-S0", "589,824,000 weights; .* at most 50,000,000"),
        ("planted-random-L2-H9000-D64-E20-S0", "must be at least 18016"),
        ("planted-random-L999999999-H9-D64-E20-S0", "too large"),
        ("planted-random-L30-H30-D1024-E999999-S0", "at most 100,000 true edges"),
        ("planted-random-L0-H4-D64-E9-S0", "n_layers of at least 1"),
        ("planted-random-L4-H4-D64", "must be like planted-random-L4-H4-D64-E20-S0"),
        ("planted-random", "must be like"),
        ("planted-random-L4-H4-D64-E20-S0-N-1", "must be like"),
        ("planted-random-L4-H4-D64-E20-S9999999999", "its seed has 10 digits; give at most 9"),
        ("planted-random-L4-H4-D64-E20-S0-N0.1234567891", "its noise has 10 digits behind its point; give at most 9"),
    ],
)
def test_parameters_that_make_no_model(name, said):
    for refused in (planted, find_task, load_model):
        with pytest.raises(SettingsError, match=said):
            refused(name)


def test_an_unknown_name_says_the_nearest():
    for refused in (planted, find_task, load_model):
        with pytest.raises(UnknownNameError, match="planted-reverse"):
            refused("planted-revers")


def test_a_name_of_parameters_says_them_all():
    assert Parameters(4, 3, 64, 20, seed=7, noise=0.25).name == "planted-random-L4-H3-D64-E20-S7-N0.25"
    assert Parameters(4, 3, 64, 20).name == "planted-random-L4-H3-D64-E20-S0"


@pytest.mark.parametrize("noise", [0.1234567, 0.000001, 0.0000001, 1e-9, 1])
def test_a_name_reads_back_with_all_digits_of_its_noise(noise):
    parameters = Parameters(4, 3, 64, 20, noise=noise)
    assert parsed(parameters.name) == parameters


@pytest.mark.parametrize("noise", [1e-10, 0.1 + 0.2, -0.1, float("nan"), float("inf")])
def test_a_noise_that_no_name_carries_is_refused(noise):
    with pytest.raises(SettingsError, match=r"at most 9 digits behind the point|at most 1\."):
        Parameters(4, 3, 64, 20, noise=noise)


def test_few_edges_are_found_whatever_the_draws_of_heads():
    for seed in range(40):  # seeds whose first draws of two heads lie in one layer among them
        assert len(planted(f"planted-random-L2-H12-D48-E7-S{seed}").edges) == 7


def test_a_saved_model_opens_as_a_folder_and_says_its_edges(tmp_path):
    model = planted("planted-sort")
    model.save(tmp_path / "sort")
    opened = load_model(tmp_path / "sort")
    assert Graph(opened.graph_config) == model.graph
    assert opened.tokenizer.encode("3 1 >") == [3, 1, 10]
    about = json.loads((tmp_path / "sort" / "config.json").read_text())["planted"]
    assert set(about["edges"]) == model.edges
    assert about["settings"]["task"] == "sorting"
    run = discover(tmp_path / "sort", "sorting", n=10, threshold=0.05, progress=False)
    assert {edge.name for edge in run.circuit} == model.edges
    with pytest.raises(RunFolderError, match="isn't empty"):
        model.save(tmp_path / "sort")
    with pytest.raises(RunFolderError, match="can't write"):
        model.save(tmp_path / "sort" / "config.json" / "below")


def test_true_circuits_need_no_torch():
    script = """
import sys
from acdc.planted import planted
assert planted("planted-sort").circuit.n_edges == 4
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("no_such_module:of_name", "doesn't load: ModuleNotFoundError"),
        ("operator:neg", "doesn't load: TypeError"),
        ("builtins:str", "is not an acdc.Task, but of the type str"),
    ],
)
def test_another_packages_family_of_tasks_that_fails_is_said(monkeypatch, value, said):
    families = {finding.FAMILIES_GROUP: [EntryPoint("other", value, finding.FAMILIES_GROUP)]}
    monkeypatch.setattr(finding, "entry_points", lambda group: families.get(group, []))
    with pytest.raises(AcdcError, match=rf"task 'other-1' \({value}\) {said}"):
        find_task("other-1")
    with pytest.raises(UnknownNameError):
        find_task("another-1")
