"""Any circuits, many at once: equal to whole patched runs, and nothing else passes the door."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from families import random_model
from test_families import prompts
from tiny import save_toy

import acdc
from acdc.circuit import Circuit
from acdc.engine import circuits
from acdc.engine.fast.engine import FastEngine
from acdc.engine.fast.states import Plan, Relevant
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.errors import SettingsError
from acdc.evaluation.behaviour import evaluate
from acdc.graph import Graph
from acdc.metrics import METRICS
from acdc.models.patched import run_patched
from acdc.pairs import PromptSet, TokenPair

pytestmark = pytest.mark.drawn

KL = METRICS["kl"]
FAMILIES = ["gpt2", "llama", "gpt-neox-parallel", "gemma2", "olmo2", "gpt-oss", "toy", "bidirectional"]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder, models = tmp_path_factory.mktemp("models"), {}

    def open_model(family):
        if family not in models:
            if family == "toy":
                models[family] = acdc.load_model(save_toy(folder / family, n_ctx=16, d_vocab=50), dtype="float64")
            elif family == "bidirectional":
                own = {"attention_dir": "bidirectional", "attn_only": False, "d_mlp": 12, "act_fn": "relu"}
                models[family] = acdc.load_model(
                    save_toy(folder / family, n_ctx=16, d_vocab=50, d_vocab_out=50, **own), dtype="float64"
                )
            else:
                models[family] = acdc.load_model(random_model(family, torch.float64))
        return models[family]

    return open_model


@pytest.fixture(scope="module")
def gpt2(opened):
    return prepare(opened("gpt2"), prompts())


def late_answers():
    """Pairs that begin alike, with answers at their ends: few positions matter, and some nodes at those only."""
    draws = np.random.default_rng(3)
    pairs = []
    for length, same, answers in ((12, 2, (11,)), (7, 0, (3, 5)), (10, 5, (8,)), (6, 5, (2, 5))):
        clean, corrupted = (tuple(draws.integers(50, size=length).tolist()) for _ in range(2))
        changed = (clean[same] + 1) % 50
        pairs.append(TokenPair(clean, (*clean[:same], changed, *corrupted[same + 1 :]), answers))
    return PromptSet(tuple(pairs), "late answers")


def drawn(graph, seed=0):
    """Random circuits of many sizes, the empty and the whole one, and one twice."""
    draws = np.random.default_rng(seed)
    found = [draws.random(graph.n_edges) < share for share in (0, 1, 0.5, 0.5, 0.02, 0.05, 0.1, 0.3, 0.8, 0.97)]
    answers = np.zeros(graph.n_edges, dtype=bool)
    answers[graph.slots[-1].edges] = True
    return [*found, answers, ~answers, found[3]]


@pytest.mark.parametrize("ablation", ["corrupted", "zero", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_many_at_once_are_whole_patched_runs(family, ablation, opened):
    for given, batch_size, split_input in (
        (prompts(), None, False),
        (late_answers(), 3, False),
        (late_answers(), None, family in ("gpt2", "toy")),
    ):
        setting = prepare(opened(family), given, ablation=ablation, batch_size=batch_size, split_input=split_input)
        reference, masks = ReferenceEngine(setting, KL), drawn(setting.graph)
        found = list(circuits.run(setting, masks))
        assert len(found) == len(masks)
        for logits, mask in zip(found, masks, strict=True):
            assert (logits.shape, logits.dtype) == (setting.model_logits.shape, torch.float64)
            assert torch.allclose(logits, reference.logits(mask), rtol=0, atol=1e-10)


def test_they_are_one_by_one_what_they_are_together(gpt2):
    masks = drawn(gpt2.graph)
    together = list(circuits.run(gpt2, masks))
    for mask, logits in zip(masks, together, strict=True):
        (alone,) = circuits.run(gpt2, [mask])
        assert torch.allclose(alone, logits, rtol=0, atol=1e-10)


def test_small_batches_and_small_tiles_change_nothing(gpt2, monkeypatch):
    from acdc.engine.fast import side_by_side

    gpt2 = prepare(gpt2.model, late_answers())
    masks = drawn(gpt2.graph)
    whole = list(circuits.run(gpt2, masks))
    monkeypatch.setattr(side_by_side, "_VALUE_BYTES", {"cpu": 1})
    monkeypatch.setattr(side_by_side, "_PLACES", {"cpu": 1})
    monkeypatch.setattr(side_by_side, "_READ_BYTES", {"cpu": 1})
    monkeypatch.setattr(side_by_side, "_HELD_BYTES", 0)
    monkeypatch.setattr(circuits, "_MOST", 5)
    for a, b in zip(whole, circuits.run(gpt2, masks), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-10)


def test_half_precision_is_run_circuit_by_circuit():
    setting = prepare(acdc.load_model(random_model("gpt2"), dtype="bfloat16"), prompts())
    reference, masks = ReferenceEngine(setting, KL), drawn(setting.graph)[:6]
    for mask, logits in zip(masks, circuits.run(setting, masks), strict=True):
        assert torch.equal(logits, reference.logits(mask))


def test_a_circuit_without_numbers_spoils_no_other(opened):
    """Infinity times an edge that isn't kept would be NaN."""
    setting = prepare(opened("gpt2"), prompts(), ablation="zero")
    given = setting.contributions
    huge = given.inputs.clone()
    huge[:] = 1e300  # its square is infinite
    spoiled = replace(setting, contributions=_with_inputs(given, huge))
    without = np.zeros(setting.graph.n_edges, dtype=bool)
    without[1:] = np.random.default_rng(0).random(setting.graph.n_edges - 1) < 0.5
    for edge in setting.graph.edges():
        if edge.source.name == "input":
            without[edge.number] = False
    masks = [np.ones_like(without), without] * 4
    expected = ReferenceEngine(setting, KL).logits(without)
    found = list(circuits.run(spoiled, masks))
    assert all(torch.allclose(logits, expected, rtol=0, atol=1e-10) for logits in found[1::2])


def _with_inputs(given, inputs):
    from copy import copy

    changed = copy(given)
    changed.inputs = inputs
    return changed


def test_equal_states_are_computed_once():
    graph = Graph.from_config(n_layers=2, n_heads=2)
    draws = np.random.default_rng(0)
    masks = draws.random((100, graph.n_edges)) < 0.5
    plan = Plan(graph, Relevant(graph, masks, tied_heads=False, only_from_input=True), tied_heads=False)
    first = plan.steps[0][1]  # three slots with one parent each: at least one of them is kept
    assert [len(one.examples) for one in first] == [7, 7]
    same = Plan(graph, Relevant(graph, masks[[0] * 50], tied_heads=False, only_from_input=True), tied_heads=False)
    assert all(len(one.examples) == 1 for _, found in same.steps for one in found)


def test_forms_of_a_circuit(gpt2):
    mask = drawn(gpt2.graph)[2]
    expected = ReferenceEngine(gpt2, KL).logits(mask)
    circuit = Circuit(gpt2.graph, mask, np.zeros(len(mask)))
    without_width = Circuit(Graph(replace(gpt2.graph.cfg, d_model=0)), mask, np.zeros(len(mask)))
    as_tensor = torch.from_numpy(mask)
    backwards, read_only = mask[::-1].copy()[::-1], mask.copy()
    read_only.flags.writeable = False
    mixed = [circuit, as_tensor, without_width, as_tensor.double(), mask, as_tensor.float(), backwards, read_only]
    for given in (mixed, (one for one in mixed), mixed * 2):
        for logits in circuits.run(gpt2, given):
            assert torch.allclose(logits, expected, rtol=0, atol=1e-10)
    for one in (backwards, read_only):
        assert torch.allclose(next(circuits.run(gpt2, [one])), expected, rtol=0, atol=1e-10)
    for many in (np.stack([mask] * 5), torch.stack([as_tensor] * 5), torch.stack([as_tensor.double()] * 5)):
        found = list(circuits.run(gpt2, many))
        assert len(found) == 5
        assert all(torch.allclose(one, expected, rtol=0, atol=1e-10) for one in found)
    assert list(circuits.run(gpt2, [])) == []


def test_the_caller_may_go_on_writing_into_what_he_gave(gpt2):
    first, second = drawn(gpt2.graph)[2:4]

    def given(written):
        for mask in (first, second) * 3:
            written[:] = torch.from_numpy(mask) if isinstance(written, torch.Tensor) else mask
            yield written

    for room in (first.copy(), torch.from_numpy(first.copy()), torch.zeros(len(first), dtype=torch.float64)):
        once = [expected for mask in (first, second) for expected in circuits.run(gpt2, [mask])]
        for logits, expected in zip(circuits.run(gpt2, given(room)), once * 3, strict=True):
            assert torch.allclose(logits, expected, rtol=0, atol=1e-10)
        later = circuits.run(gpt2, [room])
        room[:] = 0
        assert torch.allclose(next(later), once[1], rtol=0, atol=1e-10)


def test_weights_of_a_precision_without_comparisons(gpt2):
    weights = torch.full((gpt2.graph.n_edges,), 0.5)
    narrow, wide = circuits.run(gpt2, [weights.to(torch.float8_e4m3fn), weights])
    assert torch.equal(narrow, wide)
    with pytest.raises(SettingsError, match="circuit 1 is a sparse tensor of float32"):
        circuits.run(gpt2, [weights.to_sparse()])
    with pytest.raises(SettingsError, match="circuit 1 is a tensor without data of bool"):
        circuits.run(gpt2, [torch.ones(gpt2.graph.n_edges, dtype=torch.bool, device="meta")])


def test_a_circuit_of_another_graph_says_which_sizes_differ(gpt2):
    def circuit(**other):
        graph = Graph(replace(gpt2.graph.cfg, **other))
        return Circuit(graph, np.ones(graph.n_edges, dtype=bool), np.zeros(graph.n_edges))

    for other, said in (
        ({"n_layers": 3}, "n_layers 3 against 2"),
        ({"n_heads": 2}, "n_heads 2 against 4"),
        ({"d_model": 48}, "d_model 48 against 32"),
        ({"parallel_attn_mlp": True}, "parallel_attn_mlp True against False"),
        ({"attn_only": True}, "attn_only True against False"),
        ({"split_input": True}, "split_input True against False"),
        ({"n_layers": 1, "n_heads": 8}, "n_layers 1 against 2, n_heads 8 against 4"),
    ):
        with pytest.raises(SettingsError, match=rf"^circuit 2 is of another graph than the model's: {said}; [^.]+\.$"):
            circuits.run(gpt2, [circuit(), circuit(**other)])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda mask: mask[:-1],
        lambda mask: np.append(mask, True),
        lambda mask: mask[None],
        lambda mask: mask.astype(float),
        lambda mask: mask.astype(np.int64),
        lambda mask: mask.astype(object),
        lambda mask: np.flatnonzero(mask),
        lambda mask: torch.from_numpy(np.flatnonzero(mask)),
        lambda mask: torch.from_numpy(mask).int(),
        lambda mask: torch.from_numpy(mask)[:-1],
        lambda mask: torch.from_numpy(mask).cfloat(),
        lambda mask: torch.from_numpy(mask).double() * float("nan"),
        lambda mask: torch.from_numpy(mask).double() * 1.01,
        lambda mask: torch.from_numpy(mask).double() - 0.01,
        lambda mask: mask.tolist(),
        lambda mask: [0, 1, 2],
        lambda mask: {0, 1, 2},
        lambda mask: "circuit.json",
        lambda mask: "input->m0",
        lambda mask: None,
        lambda mask: True,
        lambda mask: 3,
    ],
)
def test_what_is_no_circuit_is_refused_at_the_door(gpt2, wrong):
    mask = drawn(gpt2.graph)[2]
    bad = wrong(mask)
    with pytest.raises(SettingsError, match=r"^circuit 2 [^.\n]*(\d\.\d+[^.\n]*)?(acdc\.Circuit[^.\n]*)?\.$"):
        circuits.run(gpt2, [mask, bad])
    with pytest.raises(SettingsError):
        list(circuits.run(gpt2, iter([mask, bad])))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda mask: mask,
        lambda mask: torch.from_numpy(mask),
        lambda mask: mask[None, None],
        lambda mask: {"mine": mask},
        lambda mask: "circuit.json",
        lambda mask: 3,
        lambda mask: None,
    ],
)
def test_circuits_come_as_a_list(gpt2, wrong):
    with pytest.raises(SettingsError, match=r"give `\[circuit\]` for one alone\.$"):
        circuits.run(gpt2, wrong(drawn(gpt2.graph)[2]))
    with pytest.raises(SettingsError, match=r"give `\[circuit\]` for one alone\.$"):
        circuits.run(gpt2, Circuit(gpt2.graph, np.ones(gpt2.graph.n_edges, dtype=bool), np.zeros(gpt2.graph.n_edges)))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda mask: mask[:-1],
        lambda mask: np.append(mask, True),
        lambda mask: mask.astype(float),
        lambda mask: np.flatnonzero(mask),
        lambda mask: torch.from_numpy(mask),
        lambda mask: mask.tolist(),
        lambda mask: None,
    ],
)
def test_every_way_to_run_a_mask_checks_it(gpt2, wrong):
    bad = wrong(drawn(gpt2.graph)[2])
    reference, fast = ReferenceEngine(gpt2, KL), FastEngine(gpt2, KL)
    for way in (
        reference.logits,
        reference.metric_of,
        fast.metric_of,
        lambda mask: evaluate(gpt2, mask),
        gpt2.graph.on_path,
        gpt2.graph.live_nodes,
    ):
        with pytest.raises(SettingsError, match=r"a boolean array"):
            way(bad)


@pytest.mark.parametrize("ablation", ["corrupted", "zero", "mean"])
@pytest.mark.parametrize("family", ["gpt2", "gemma2", "gpt-neox-parallel"])
def test_weights_have_a_gradient(family, ablation, opened):
    setting = prepare(opened(family), prompts(), ablation=ablation, batch_size=2)
    graph, draws = setting.graph, np.random.default_rng(1)
    weights = torch.from_numpy(draws.uniform(0.1, 0.9, graph.n_edges)).requires_grad_()

    def metric(weights):
        (logits,) = circuits.run(setting, [weights])
        return KL.per_prediction(logits, setting.model_logits, setting.answers).mean()

    value = metric(weights)
    (gradient,) = torch.autograd.grad(value, weights)
    step = 1e-5
    for edge in draws.choice(graph.n_edges, size=12, replace=False):
        moved = [weights.detach().clone() for _ in range(2)]
        moved[0][edge] += step
        moved[1][edge] -= step
        up, down = (float(metric(one)) for one in moved)
        assert float(gradient[edge]) == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-9)


def test_weights_of_0_and_1_are_the_mask(gpt2):
    for mask in drawn(gpt2.graph):
        weights = torch.from_numpy(mask).double().requires_grad_()
        with_gradient, without = circuits.run(gpt2, [weights, weights.detach()])
        expected = ReferenceEngine(gpt2, KL).logits(mask)
        assert with_gradient.requires_grad
        assert not without.requires_grad
        assert torch.equal(without, expected)
        assert torch.allclose(with_gradient, expected, rtol=0, atol=1e-12)


def test_running_leaves_the_callers_gradients_as_they_are(gpt2):
    masks = drawn(gpt2.graph)
    for _ in circuits.run(gpt2, masks):
        assert torch.is_grad_enabled()
    weights = torch.full((gpt2.graph.n_edges,), 0.5, requires_grad=True)
    for _ in circuits.run(gpt2, [weights, masks[0], weights]):
        assert torch.is_grad_enabled()
    with torch.no_grad():
        assert not next(circuits.run(gpt2, [weights])).requires_grad


def test_a_gradient_through_weights_and_inputs_together(gpt2):
    """The same gradient at the inputs, whether or not the weights want one too."""
    given, rows = gpt2.contributions, slice(0, 3)

    def at_inputs(kept):
        inputs = given.inputs.clone().requires_grad_()
        _, residual = run_patched(gpt2.model, gpt2.graph, gpt2.tokens, inputs, kept, given.ablated(rows))
        return torch.autograd.grad(gpt2.predictions(residual, rows).logsumexp(-1).sum(), inputs)[0]

    weights = torch.rand(gpt2.graph.n_edges, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(at_inputs(weights), at_inputs(weights.clone().requires_grad_()), atol=1e-12)
