"""Activation patching, held against hooks of torch on the Hugging Face model and against circuits."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from families import random_model
from replaced import FAMILIES, WITH_HEADS, WITH_SLOTS, place, run
from test_families import prompts as many_positions

import acdc
from acdc.analysis.maps import activation_patching
from acdc.engine import circuits
from acdc.engine.own_metric import asked_metric
from acdc.engine.setting import prepare
from acdc.errors import PromptError, SettingsError, UnknownNameError
from acdc.metrics import METRICS
from acdc.pairs import PromptSet, TokenPair

pytestmark = pytest.mark.drawn

#: RMS norms of transformers compute in float32 even in a float64 model.
TOLERANCE = 1e-6
CLEAN = [(3, 8, 21, 40, 9, 17, 30), (5, 11, 7, 33, 12)]
CORRUPTED = [(3, 8, 22, 40, 1, 19, 30), (6, 11, 2, 33, 12)]


def prompts(*, answers=True):
    """Two pairs that differ in length and share tokens; one has two predictions, and none after its last token."""
    right, wrong = [((1,), (2, 3)), ((4,),)], [((5, 6), (7,)), ((8,),)]
    at = [(3, 5), (4,)]
    return PromptSet(
        tuple(
            TokenPair(CLEAN[i], CORRUPTED[i], at[i], *((right[i], wrong[i]) if answers else ((), ()))) for i in range(2)
        ),
        "made up",
    )


@cache
def opened(family):
    theirs = random_model(family, torch.float64)
    return theirs, acdc.load_model(theirs)


def logit_difference(logits, pair):
    """Mean over a pair's predictions of the best right answer's logit minus the best wrong one's."""
    found = [
        max(float(logits[at, a]) for a in right) - max(float(logits[at, a]) for a in wrong)
        for at, right, wrong in zip(pair.answer_positions, pair.answers, pair.wrong_answers, strict=True)
    ]
    return sum(found) / len(found)


@pytest.mark.parametrize(
    ("direction", "family", "what"),
    [("noising", family, what) for family in FAMILIES for what in ("residual", "attention", "mlps")]
    + [("denoising", family, what) for family in FAMILIES for what in ("residual", "mlps")]
    + [(direction, family, "heads") for family in WITH_HEADS for direction in ("noising", "denoising")]
    + [("noising", family, what) for family in WITH_SLOTS for what in "qkv"],
)
def test_every_cell_is_what_a_hook_on_the_model_gives(direction, family, what):
    theirs, model = opened(family)
    pairs = prompts()
    found = activation_patching(prepare(model, pairs), what, direction)
    assert found.metric == "logit-diff"
    assert len(found.activations) == {"residual": 3, "attention": 2, "mlps": 2}.get(what, 8)
    assert np.abs(np.nan_to_num(found.effects)).max() > 1e-2
    for i, pair in enumerate(pairs.pairs):
        base, other = (pair.clean, pair.corrupted)[:: 1 if direction == "noising" else -1]
        start = logit_difference(run(theirs, base)[0], pair)
        whole = logit_difference(run(theirs, other)[0], pair) - start
        sign = -1 if direction == "noising" else 1
        assert found.whole[i] == pytest.approx(sign * whole, abs=TOLERANCE)
        assert np.isnan(found.effects[:, i, len(pair.clean) :]).all()
        for row, one in enumerate(found.activations):
            at = place(theirs, family, one.kind, one.layer, one.head)
            value = run(theirs, other, at)[1]
            for position in range(len(pair.clean)):
                logits, _ = run(theirs, base, at, position, value[position])
                expected = sign * (logit_difference(logits, pair) - start)
                assert found.effects[row, i, position] == pytest.approx(expected, abs=TOLERANCE), (one.name, position)


#: Tied heads, shared keys, latents, biases by distance, sinks, temperatures, layers that see a window only.
OTHERS = ["gemma2", "llama", "olmo2", "deepseek-v3", "bloom", "gpt-oss", "llama4", "gpt-j", "cohere-head-norms"]


@pytest.mark.parametrize("family", OTHERS)
def test_a_head_at_all_positions_is_all_of_its_edges_and_a_slot_all_of_those_into_it(family):
    """Circuits are computed by other code; they take each family's attention apart by itself."""
    _, model = opened(family)
    setting = prepare(model, prompts(answers=False), batch_size=1)
    graph = setting.graph
    for what in ("heads", "mlps", "q", "k", "v"):
        found = activation_patching(setting, what, by_position=False)
        assert found.metric == "kl"
        masks = np.ones((len(found.activations), graph.n_edges), dtype=bool)
        for mask, one in zip(masks, found.activations, strict=True):
            if what in "qkv":
                mask[graph.slot(one.name).edges] = False
            else:
                source = graph.node(one.name)
                mask[[edge.number for edge in graph.edges() if edge.source == source]] = False
        for row, logits in enumerate(circuits.run(setting, masks)):
            expected = METRICS["kl"].per_prediction(logits, setting.model_logits, setting.answers).mean()
            assert found.mean[row, 0] == pytest.approx(float(expected), abs=1e-8)


@pytest.mark.parametrize("family", ["olmo2", "deepseek-v3", "bloom", "gpt-oss", "llama4"])
def test_a_position_alone_is_the_same_with_what_comes_before_it_computed_anew(family, monkeypatch):
    _, model = opened(family)
    setting = prepare(model, prompts(answers=False))
    kinds = ("residual", "heads", "k")
    quick = [activation_patching(setting, what).effects for what in kinds]
    monkeypatch.setitem(vars(model), "looks_back", False)
    for what, effects in zip(kinds, quick, strict=True):
        assert np.allclose(activation_patching(setting, what).effects, effects, rtol=0, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("family", ["llama-dynamic", "phi3-longrope", "ministral3"])
def test_every_prompt_keeps_the_rotations_of_its_own_length(family):
    """The prompts that stand beside it have others, as they are longer."""
    _, model = opened(family)
    setting = prepare(model, many_positions())
    for what in ("heads", "k"):
        whole = activation_patching(setting, what).effects
        for i, pair in enumerate(setting.prompts.pairs):
            alone = activation_patching(prepare(model, PromptSet((pair,), "one")), what).effects
            assert np.allclose(whole[:, i, : len(pair.clean)], alone[:, 0], rtol=0, atol=1e-8)


def test_both_ends_are_nothing_and_everything():
    _, model = opened("gpt2")
    setting = prepare(model, prompts())
    for direction in ("noising", "denoising"):
        found = activation_patching(setting, "residual", direction, by_position=False)
        assert np.allclose(found.normalised, 1)
        found = activation_patching(setting, "residual", direction)
        assert np.abs(found.effects[:, 0, :2]).max() < 1e-12  # tokens that both prompts have
        assert np.abs(found.effects[:, 0, 6]).max() == 0  # behind the last answer
        last = found.effects[-1]  # of the stream in front of the unembedding: the answers' positions are all of it
        assert np.allclose(last[0, [3, 5]].sum(), found.whole[0])
        assert np.allclose(last[1, 4], found.whole[1])


def test_chunks_and_other_ablations_change_nothing(monkeypatch):
    _, model = opened("gpt-neox-parallel")
    whole = activation_patching(prepare(model, prompts()), "heads")
    for room in ("forward", "maps"):  # one prompt, and one run, at a time
        monkeypatch.setattr(f"acdc.analysis.{room}.BYTES", 1)
    for options in ({"batch_size": 1}, {"ablation": "zero"}, {"ablation": "mean", "batch_size": 1}):
        other = activation_patching(prepare(model, prompts(), **options), "heads")
        assert np.allclose(other.effects, whole.effects, rtol=0, atol=1e-10, equal_nan=True)


def test_a_chunk_of_equal_prompts_has_no_effects():
    _, model = opened("gpt2")
    first = prompts().pairs[0]
    pairs = PromptSet((replace(first, corrupted=first.clean), first), "one of two")
    whole, by_ones = (activation_patching(prepare(model, pairs, batch_size=size), "heads") for size in (2, 1))
    assert np.nanmax(np.abs(by_ones.effects[:, 0])) == 0
    assert np.allclose(by_ones.effects, whole.effects, rtol=0, atol=1e-10, equal_nan=True)


def test_metrics_are_those_asked_for():
    _, model = opened("gpt2")
    setting = prepare(model, prompts())

    def twice(circuit, ours, answers):
        return 2 * METRICS["l2"].per_prediction(circuit, ours, answers)

    once = activation_patching(setting, "mlps", metric="l2")
    doubled = activation_patching(setting, "mlps", metric=twice)
    assert doubled.metric == "twice"
    assert np.allclose(doubled.mean, 2 * once.mean)
    assert np.allclose(doubled.normalised, once.normalised)
    assert activation_patching(replace(setting, own_metric=asked_metric(twice)), "mlps").metric == "twice"


def test_means_count_predictions_and_the_table_has_them_all(tmp_path):
    _, model = opened("gpt2")
    found = activation_patching(prepare(model, prompts()), "heads")
    expected = (2 * found.effects[3, 0, 2] + found.effects[3, 1, 2]) / 3
    assert found.mean[3, 2] == pytest.approx(expected)
    whole = (2 * found.whole[0] + found.whole[1]) / 3
    assert found.normalised[3, 2] == pytest.approx(expected / whole)
    assert found.normalised[3, 6] == pytest.approx(found.effects[3, 0, 6] / found.whole[0])
    table = found.table()
    row = dict(zip(table.columns, table.rows[3 * 7 + 2], strict=True))
    assert (row["activation"], row["layer"], row["head"], row["position"]) == ("a0.h3", 0, 3, 2)
    assert (row["effect"], row["predictions"]) == (pytest.approx(expected), 3)
    assert found.tokens == ("", "", "", "", "", "17", "30")
    for what, by_position in (("heads", True), ("heads", False), ("residual", True), ("mlps", False)):
        one = activation_patching(prepare(model, prompts()), what, by_position=by_position)
        assert one.draw(tmp_path / f"{what}.png").stat().st_size > 2000
        assert len(one.write_table(tmp_path / f"{what}.csv").read_text().splitlines()) == len(one.table().rows) + 1


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"what": "head"}, UnknownNameError, "did you mean heads"),
        ({"what": 3}, SettingsError, "must be a name"),
        ({"direction": "noisy"}, UnknownNameError, "noising"),
        ({"metric": "logit-dif"}, UnknownNameError, "logit-diff"),
        ({"metric": "logit-diff"}, PromptError, "right and wrong answers"),
        ({"by_position": "no"}, SettingsError, "True or False"),
    ],
)
def test_bad_arguments_are_a_sentence(options, error, said):
    _, model = opened("gpt2")
    with pytest.raises(error, match=said):
        activation_patching(prepare(model, prompts(answers=False)), **options)
