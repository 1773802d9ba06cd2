"""Learned masks: what is trained is what runs, by the gradient of differences, and the same every time."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from families import random_model
from test_families import prompts
from tiny import pairs, write_pairs

import acdc
from acdc.engine import circuits
from acdc.engine.setting import prepare
from acdc.errors import AcdcError, AcdcWarning, NumericsError, SettingsError
from acdc.methods import EdgePruning, Log, Sp, Ugs, find_method
from acdc.methods.masks import hard_concrete
from acdc.methods.masks.schemes import Probing, Pruning, Uniform
from acdc.methods.masks.training import at_weights, chance_of
from acdc.metrics import METRICS, Metric
from acdc.selection import Above, Top

pytestmark = pytest.mark.drawn

KL = METRICS["kl"]
FAMILIES = ["gpt2", "llama", "gpt-neox-parallel", "gemma2", "gemma3"]
FEW = {"steps": 8, "batch": 2}
METHODS = [Sp(**FEW), Sp(masks="nodes", **FEW), EdgePruning(sparsity=0.5, **FEW), Ugs(**FEW)]


def setting_of(family, **options):
    return prepare(acdc.load_model(random_model(family, torch.float64)), prompts(), **options)


@pytest.fixture(scope="module")
def gpt2():
    return setting_of("gpt2")


def every(setting):
    return slice(0, len(setting.prompts))


def some_weights(setting, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, setting.graph.n_edges, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("family", FAMILIES)
def test_masks_of_1_give_the_model_and_of_0_the_corrupted_run(family):
    setting = setting_of(family)
    n = setting.graph.n_edges
    infinite = torch.full((n,), math.inf, dtype=torch.float64)
    draw = torch.full((n,), 0.3, dtype=torch.float64)
    for location, logits in ((infinite, setting.model_logits), (-infinite, setting.corrupted_logits)):
        z = hard_concrete.drawn(location, draw)
        (found,) = circuits.run(setting, [z])
        assert torch.allclose(found, logits, rtol=0, atol=1e-10)
        value, _ = at_weights(setting, KL, every(setting), z)
        assert value == pytest.approx(
            float(KL.per_prediction(logits, setting.model_logits, setting.answers).mean()), abs=1e-10
        )
    assert value > 1e-3


@pytest.mark.parametrize("ablation", ["corrupted", "zero", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_at_weights_are_differences_and_the_same_in_chunks(family, ablation):
    setting = setting_of(family, ablation=ablation)
    weights = some_weights(setting)
    value, gradient = at_weights(setting, METRICS["l2"], every(setting), weights)
    assert float(gradient.abs().max()) > 1e-4
    for edge in np.random.default_rng(1).choice(setting.graph.n_edges, 6, replace=False):
        moved = torch.zeros_like(weights)
        moved[edge] = 1e-5
        ends = [at_weights(setting, METRICS["l2"], every(setting), weights + side * moved)[0] for side in (1, -1)]
        assert float(gradient[edge]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-8)
    chunked = setting_of(family, ablation=ablation, batch_size=2)
    again = at_weights(chunked, METRICS["l2"], every(chunked), weights)
    assert again[0] == pytest.approx(value, rel=1e-10)
    assert torch.allclose(again[1], gradient, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("ablation", ["corrupted", "zero", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_every_prompt_are_runs_of_each_alone(family, ablation):
    setting = setting_of(family, ablation=ablation)
    n = len(setting.prompts)
    weights = some_weights(setting, n)
    value, gradient = at_weights(setting, KL, every(setting), weights)
    alone = [at_weights(setting, KL, slice(row, row + 1), weights[row]) for row in range(n)]
    assert value == pytest.approx(sum(one for one, _ in alone), rel=1e-10)
    assert torch.allclose(gradient, torch.stack([one for _, one in alone]), rtol=1e-8, atol=1e-12)
    chunked = setting_of(family, ablation=ablation, batch_size=3)
    assert torch.allclose(at_weights(chunked, KL, every(chunked), weights)[1], gradient, rtol=1e-8, atol=1e-12)


def test_a_prompt_weighs_the_same_in_any_batch(gpt2):
    weights = some_weights(gpt2)
    whole = at_weights(gpt2, KL, every(gpt2), weights)
    n = len(gpt2.prompts)
    assert n % 2, "the last batch is smaller"
    parts = [at_weights(gpt2, KL, slice(at, min(at + 2, n)), weights) for at in range(0, n, 2)]
    assert sum(value for value, _ in parts) == pytest.approx(whole[0])
    assert torch.allclose(sum(gradient for _, gradient in parts), whole[1], atol=1e-12)


def test_the_penalty_is_the_expected_number_of_masks_that_are_not_0(gpt2):
    """Of the very distribution that is drawn from, by its gradient and by counting."""
    masks = Probing(gpt2.graph, "edges", penalty=3.0)
    _, added = masks.draw(0, 4, chance_of(0, 1))
    drawn = torch.stack([masks.draw(0, 4, chance_of(seed, 1))[0].detach() for seed in range(400)])
    assert float(added.detach()) == pytest.approx(3 * float((drawn != 0).double().mean()), rel=0.01)
    assert masks.expected_edges() == pytest.approx(float((drawn != 0).double().sum(1).mean()), rel=0.01)
    (location,) = masks.parameters[0]["params"]
    (gradient,) = torch.autograd.grad(added, location)
    with torch.no_grad():
        ends = [3 * hard_concrete.alive(location + side).mean() for side in (1e-6, -1e-6)]
    assert float(gradient.sum()) == pytest.approx(float(ends[0] - ends[1]) / 2e-6, rel=1e-6)


def test_masks_of_nodes_weigh_what_they_write(gpt2):
    graph = gpt2.graph
    masks = Probing(graph, "nodes", penalty=1.0)
    weights = masks.draw(0, 4, chance_of(0, 1))[0].detach()
    for node in graph.sources:
        own = {float(weights[edge.number]) for edge in graph.edges() if edge.source is node}
        assert len(own) == 1
        assert node.index or own == {1.0}
    (location,) = masks.parameters[0]["params"]
    with torch.no_grad():
        location[1] = -5.0  # the second head of the first layer
    kept, gone = masks.rounded(), graph.nodes[2]
    for edge in graph.edges():
        assert kept[edge.number] == (gone not in (edge.source, edge.slot.node))
    value = float(hard_concrete.alive(location.detach())[0])
    scores = masks.values()
    assert float(scores[graph.edge(f"{graph.nodes[1].name}->logits").number]) == pytest.approx(value)
    assert float(scores[graph.edge(f"input->{graph.nodes[1].name}<q>").number]) == pytest.approx(value)
    assert float(scores[graph.edge("input->logits").number]) == 1


def test_masks_of_edge_pruning_are_an_edge_s_times_its_writer_s_and_rounded_over_the_graph(gpt2):
    graph = gpt2.graph
    masks = Pruning(graph, 7, steps=10, seed=0)
    edges, writers = masks.parameters[0]["params"]
    multipliers = masks.parameters[1]["params"][0]
    assert masks.parameters[1]["maximize"]
    with torch.no_grad():
        edges[:] = 50.0
        edges[5:] -= torch.arange(graph.n_edges - 5) / 100
        writers[:] = torch.where(torch.arange(graph.n_sources) == 0, -50.0, 50.0)
        multipliers[:] = torch.tensor([2.0, 3.0])
    assert float(masks.values()[0]) < 1e-10, "what its source writes is masked"
    assert (
        np.flatnonzero(masks.rounded()).tolist() == [edge.number for edge in graph.edges() if edge.source.index][:7]
    ), "the largest, though all are 1 after rounding"
    z, added = masks.draw(10, 4, chance_of(0, 1))
    beyond = float((1 - z.mean()).detach()) - (1 - 7 / graph.n_edges)
    assert float(added.detach()) == pytest.approx(2 * beyond + 3 * beyond**2)
    _, first = masks.draw(0, 4, chance_of(0, 1))
    gone = float((1 - z.mean()).detach())
    assert float(first.detach()) == pytest.approx(2 * gone + 3 * gone**2), "at first nothing should go"


@pytest.mark.parametrize("ablation", ["corrupted", "mean"])
def test_uniform_masks_hold_no_edge_on_no_path(ablation):
    setting = setting_of("gpt2", ablation=ablation)
    masks = Uniform(setting.graph, penalty=0.5)
    (location,) = masks.parameters[0]["params"]
    with torch.no_grad():
        location[:] = -2.0
    weights, added = masks.draw(0, 50, chance_of(0, 1))
    assert float(added.detach()) == pytest.approx(0.5 * masks.expected_edges())
    for row in weights.detach().numpy():
        assert np.array_equal(setting.graph.on_path(row > 0), row > 0)
    assert float(weights.detach().max()) > 0


def test_uniform_masks_learn_what_the_removal_of_an_edge_costs(gpt2):
    """With all other masks at 1 the gradient's mean is the metric's rise from without the edge to with it."""
    edge = int(at_weights(gpt2, KL, every(gpt2), torch.full((gpt2.graph.n_edges,), 0.5).double())[1].abs().argmax())
    masks = Uniform(gpt2.graph, penalty=0.0)
    (location,) = masks.parameters[0]["params"]
    with torch.no_grad():
        location[:] = 50.0
        location[edge] = 0.4
    found = []
    for seed in range(100):
        weights, _ = masks.draw(0, len(gpt2.prompts), chance_of(seed, 1))
        _, gradient = at_weights(gpt2, KL, every(gpt2), weights.detach())
        theta = location.detach().sigmoid()
        (one,) = torch.autograd.grad((weights * gradient).sum(), location)
        if bool(((weights > 0) & (weights < 1))[:, edge].any()):
            found.append(float(one[edge]) / float((theta * (1 - theta))[edge]))
    without = np.ones(gpt2.graph.n_edges, dtype=bool)
    without[edge] = False
    (logits,) = circuits.run(gpt2, [without])
    rise = float(KL.per_prediction(logits, gpt2.model_logits, gpt2.answers).mean())
    assert rise > 1e-3
    assert np.mean(found) == pytest.approx(-rise, abs=4 * np.std(found) / math.sqrt(len(found)))
    assert 4 * np.std(found) / math.sqrt(len(found)) < rise / 3


@pytest.mark.parametrize("method", METHODS, ids=lambda method: f"{method.name}-{getattr(method, 'masks', '')}")
def test_the_seed_decides_and_nothing_around_it(method, gpt2):
    first = method.find(gpt2, KL)
    torch.manual_seed(5)
    with torch.inference_mode():
        again = method.find(gpt2, KL)
    np.testing.assert_array_equal(first.scores, again.scores)
    assert first.measured == again.measured
    other = replace(method, seed=1).find(gpt2, KL)
    assert (first.scores != other.scores).any()
    assert ((first.scores >= 0) & (first.scores <= 1)).all()
    chunked = method.find(setting_of("gpt2", batch_size=1), KL)
    np.testing.assert_allclose(chunked.scores, first.scores, atol=1e-7)


@pytest.mark.parametrize("method", METHODS[:3], ids=lambda method: f"{method.name}-{getattr(method, 'masks', '')}")
def test_what_is_measured_is_of_the_rounded_circuit_beside_the_soft_one(method, gpt2):
    found = method.find(gpt2, METRICS["l2"])
    measured = found.measured["masks"]
    (logits,) = circuits.run(gpt2, [found.kept])
    value = float(METRICS["l2"].per_prediction(logits, gpt2.model_logits, gpt2.answers).mean())
    assert measured["metric_rounded"] == pytest.approx(value)
    assert measured["edges"] == found.kept.sum() > 0
    assert measured["metric_soft"] != pytest.approx(value)
    if method.name == "edge-pruning":
        assert measured["target_sparsity"] == pytest.approx(0.5, abs=0.01)


def test_edge_pruning_keeps_as_many_edges_as_are_asked_for(gpt2):
    n = gpt2.graph.n_edges
    for options, kept in (({"edges": 9}, 9), ({"sparsity": 0.9}, round(0.1 * n)), ({"sparsity": 0.9999}, 1)):
        assert EdgePruning(**options).learned(gpt2.graph).rounded().sum() == kept
    with pytest.raises(SettingsError, match=rf"`edges` is 5,000, and the graph has {n:,}; ask for fewer"):
        EdgePruning(edges=5000).find(gpt2, KL)


def test_masks_reach_the_sparsity_that_is_asked_for(gpt2):
    """The masks themselves, before they are rounded."""
    measured = EdgePruning(sparsity=0.5, steps=250).find(gpt2, KL).measured["masks"]
    assert measured["soft_sparsity"] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("sp", {"steps": 0}, "`steps` must be from 1 to 1,000,000, not 0."),
        ("ugs", {"learning_rate": 0.0}, "`learning_rate` must be a number above 0, not 0."),
        ("ugs", {"learning_rate": math.nan}, "`learning_rate` must be a number above 0, not nan."),
        ("sp", {"learning_rate": math.inf}, "`learning_rate` must be a number above 0, not inf."),
        ("sp", {"batch": 0}, "`batch` must be from 1 to 1,000,000 prompts, not 0."),
        ("sp", {"seed": -1}, "`seed` must be 0 or more, not -1."),
        ("sp", {"penalty": -1.0}, "`penalty` must be a number of at least 0, not -1."),
        ("ugs", {"penalty": math.nan}, "`penalty` must be a number of at least 0, not nan."),
        ("sp", {"masks": "node"}, "unknown kind of masks 'node': did you mean nodes?"),
        ("edge-pruning", {"sparsity": 1.0}, "`sparsity` must be a share, from 0 to less than 1, not 1."),
        ("edge-pruning", {"sparsity": -0.1}, "`sparsity` must be a share"),
        ("edge-pruning", {"edges": -3}, "`edges` must be a number of edges, not -3."),
        ("edge-pruning", {"edges": 3, "sparsity": 0.5}, "both say how many edges should stay; give one of them."),
        ("edge-pruning", {"penalty": 1.0}, "has no `penalty` (that is an option of"),
    ],
)
def test_options_that_make_no_sense(name, options, said):
    with pytest.raises(AcdcError, match=re.escape(said)):
        find_method(name, **options)


def test_a_loss_that_is_no_number_is_a_sentence(gpt2):
    def broken(circuit, model, answers):
        return KL.per_prediction(circuit, model, answers) * math.nan

    with pytest.raises(NumericsError, match=r"^broken is NaN or infinite at step 1 of the masks' training; lower"):
        Sp(**FEW).find(gpt2, Metric("broken", "", "nothing", broken))

    def rooted(circuit, model, answers):
        return (circuit - circuit.detach()).square().sum(-1).sqrt()

    with pytest.raises(NumericsError, match="the gradient of rooted is NaN or infinite at step 1"):
        Sp(**FEW).find(gpt2, Metric("rooted", "", "nothing", rooted))


def test_a_metric_without_a_gradient_is_a_sentence(gpt2):
    def wrong(circuit, model, answers):
        return (circuit.argmax(-1) != model.argmax(-1)).double()

    with pytest.raises(SettingsError, match="the metric wrong has no gradient, and masks learn from it; take one"):
        Ugs(**FEW).find(gpt2, Metric("wrong", "", "nothing", wrong))


def test_an_empty_circuit_is_said(gpt2):
    with pytest.warns(AcdcWarning, match="the masks leave no edge on a path from the input to the logits"):
        found = Sp(penalty=1e6, steps=60).find(gpt2, KL)
    assert not found.kept.any()
    corrupted = KL.per_prediction(gpt2.corrupted_logits, gpt2.model_logits, gpt2.answers).mean()
    assert found.measured["masks"]["metric_rounded"] == pytest.approx(float(corrupted))


def test_no_penalty_keeps_what_helps_and_progress_is_told(gpt2):
    told = []

    class Told(Log):
        def begin(self, total, unit):
            told.append((total, unit))

        def at(self, done, said=""):
            told.append((done, said))

    Ugs(steps=3, batch=3).find(gpt2, KL, Told())
    assert told[0] == (3, "step")
    assert [done for done, _ in told[1:]] == [1, 2, 3]
    assert re.fullmatch(rf"kl [\d.e-]+, \d+ of {gpt2.graph.n_edges} edges expected", told[1][1])


@pytest.mark.random_models
def test_a_run_keeps_the_masks_figures_and_is_read_again(gpt2_model, tmp_path):
    task = write_pairs(tmp_path / "pairs.jsonl", pairs(8))
    said = []
    options = {"n": 4, "steps": 8, "batch": 3, "progress": False, "seed": 2}
    run = acdc.discover(
        gpt2_model, task, method="edge-pruning", edges=12, out=tmp_path / "run", announce=said.append, **options
    )
    assert "cost of edge-pruning: 8 forwards and 8 backwards of all prompts (at most: a step takes 3 prompts)" in said
    assert not any("noise floor" in line for line in said)
    loaded = acdc.Run.load(tmp_path / "run")
    assert loaded.record.masks == run.record.masks
    assert run.record.masks["edges"] == run.record.in_circuit == run.circuit.n_edges <= 12
    assert run.record.masks["metric_rounded"] == pytest.approx(run.used.circuit.metrics["kl"], rel=1e-4)
    # Of every two steps one takes 3 of the 4 prompts, and the other 1.
    assert run.record.cost == {"forwards": 4, "backwards": 4}
    assert run.record.engine is None
    assert run.circuit.found.options == {"steps": 8, "learning_rate": 0.1, "batch": 3, "sparsity": 0.95, "edges": 12}
    again = acdc.discover(gpt2_model, task, method="edge-pruning", edges=12, **options)
    np.testing.assert_array_equal(again.circuit.scores, run.circuit.scores)
    chosen = acdc.discover(gpt2_model, task, method="ugs", select=Above(0.5), **options)
    assert chosen.circuit.n_edges <= (chosen.circuit.scores >= 0.5).sum()
    with pytest.raises(SettingsError, match="the method sp decides by itself which edges stay"):
        acdc.discover(gpt2_model, task, method="sp", select=Top(5), **options)
