"""Exact patching: each edge alone, against runs in which a hook edits what one slot reads."""

import numpy as np
import pytest
import torch
from families import random_model

import acdc
from acdc.engine.choice import make_engine
from acdc.engine.setting import prepare
from acdc.errors import SettingsError
from acdc.methods import Patching
from acdc.metrics import METRICS
from acdc.models.patched import run_patched
from acdc.pairs import PromptSet, TokenPair

pytestmark = [pytest.mark.random_models, pytest.mark.drawn]

#: Parallel blocks, norms behind the heads (with a soft cap, and over all heads), grouped keys, multipliers, latents.
FAMILIES = ["gpt2", "llama", "gpt-neox-parallel", "gemma2", "gemma3", "olmo2", "granite", "deepseek-v2", "falcon"]


def some_pairs():
    """Of two lengths; an answer may lie in front of what differs, and one prompt has two."""
    draws, made = np.random.default_rng(0), []
    for length, shared in ((8, 2), (5, 0), (8, 3)):
        clean, other = (tuple(draws.integers(2, 50, size=length).tolist()) for _ in range(2))
        other = (
            *clean[:shared],
            clean[shared] % 48 + 2 if clean[shared] % 48 + 2 != clean[shared] else 2,
            *other[shared + 1 :],
        )
        answers = (1, length - 1) if length == 8 else (length - 1,)
        n = len(answers)
        made.append(
            TokenPair(
                clean=clean, corrupted=other, answer_positions=answers, answers=((3,),) * n, wrong_answers=((5,),) * n
            )
        )
    return PromptSet(made, "pairs")


def set_up(family, **options):
    model = random_model(family, torch.float64) if isinstance(family, str) else family
    return prepare(acdc.load_model(model), some_pairs(), **options)


def by_hooks(setting, measure, edge):
    """A run of the whole model in which one slot's input is edited, and nothing else."""
    every = torch.ones(setting.graph.n_edges, dtype=torch.bool)
    values = []
    for rows in setting.contributions.chunks:
        ablated = setting.contributions.ablated(rows)
        change = ablated[edge.source.index] - setting.contributions.clean(rows)[edge.source.index]

        def edit(slots, total, change=change):
            for i, slot in enumerate(slots):
                if slot == edge.slot:
                    total = total.clone()
                    total[i] += change
            return total

        inputs, tokens = setting.contributions.inputs[:, rows], setting.tokens[rows]
        _, residual = run_patched(setting.model, setting.graph, tokens, inputs, every, ablated, edit=edit)
        scored = setting.scored(rows)
        logits = setting.predictions(residual, rows)
        values.append(measure.per_prediction(logits, setting.model_logits[scored], setting.answers[scored]))
    return float(torch.cat(values).mean())


@pytest.mark.parametrize("family", FAMILIES)
def test_an_effect_is_that_of_a_run_in_which_one_slot_alone_is_edited(family):
    setting, measure = set_up(family), METRICS["logit-diff"]
    scores = Patching().find(setting, measure).scores
    edges = [
        setting.graph.edge(int(i)) for i in np.random.default_rng(1).choice(setting.graph.n_edges, 25, replace=False)
    ]
    edges += [setting.graph.edge(slot.first_edge) for slot in setting.graph.slots[-6:]]
    for edge in edges:
        assert scores[edge.number] == pytest.approx(by_hooks(setting, measure, edge), abs=1e-11), edge.name
    assert np.abs(scores).max() > 1e-3


@pytest.mark.parametrize(
    ("family", "ablation"), [("gpt2", "zero"), ("gemma2", "mean"), ("gpt-neox-parallel", "corrupted")]
)
def test_the_fast_engine_finds_the_reference_s_effects_of_every_edge(family, ablation):
    setting = set_up(family, ablation=ablation)
    fast, slow = (make_engine(name, setting, METRICS["kl"]) for name in ("fast", "reference"))
    for slot in setting.graph.slots:
        np.testing.assert_allclose(fast.effects(slot), slow.effects(slot), rtol=1e-7, atol=1e-12)


def test_no_order_of_testing_matters():
    setting = set_up("gpt2")
    one, other = (make_engine("fast", setting, METRICS["kl"]) for _ in range(2))
    forwards = {slot.name: one.effects(slot) for slot in setting.graph.slots}
    shuffled = np.random.default_rng(0).permutation(len(setting.graph.slots))
    for number in shuffled:
        slot = setting.graph.slots[number]
        np.testing.assert_array_equal(other.effects(slot), forwards[slot.name])
    for slot in setting.graph.slots:
        np.testing.assert_array_equal(one.effects(slot), forwards[slot.name])
    assert np.abs(np.concatenate([*forwards.values()])).max() > 1e-3


def test_chunks_of_prompts_change_nothing():
    model = random_model("llama", torch.float64)
    for ablation in ("corrupted", "mean"):
        whole = Patching().find(set_up(model, ablation=ablation), METRICS["kl"]).scores
        for size in (1, 2):
            setting = set_up(model, ablation=ablation, batch_size=size)
            assert len(setting.parts()) > 1
            np.testing.assert_allclose(Patching().find(setting, METRICS["kl"]).scores, whole, rtol=1e-9, atol=1e-13)


def test_an_edge_that_carries_the_same_when_it_is_removed_has_no_effect():
    pair = TokenPair(clean=(4, 5, 6, 7), corrupted=(4, 9, 6, 7), answer_positions=(0, 3))
    setting = prepare(acdc.load_model(random_model("gpt2", torch.float64)), PromptSet([pair], "pair"))
    setting.contributions._held["corrupted"][:] = setting.contributions._held["clean"]
    assert not Patching().find(setting, METRICS["kl"]).scores.any()


def test_effects_are_those_of_the_whole_graph_or_refused():
    setting = set_up("gpt2")
    for name in ("fast", "reference"):
        engine = make_engine(name, setting, METRICS["kl"])
        before = engine.effects(setting.graph.slots[-1])
        engine.remove(np.array([setting.graph.n_edges - 1]))
        with pytest.raises(SettingsError, match=r"1 edges? (was|were) removed already"):
            engine.effects(setting.graph.slots[-1])
        assert before[-1] == pytest.approx(engine.metric())


def test_pruning_goes_on_as_ever_after_effects_were_asked_for():
    setting = set_up("gpt2")
    engine, untouched = (make_engine("fast", setting, METRICS["kl"]) for _ in range(2))
    for slot in setting.graph.slots:
        engine.effects(slot)
    for slot in reversed(setting.graph.slots[-4:]):
        groups = [np.array([edge]) for edge in range(slot.edges.start, slot.edges.stop)]
        assert list(engine.removals(groups)) == list(untouched.removals(groups))
        for each in (engine, untouched):
            each.remove(np.concatenate(groups[:3]))
