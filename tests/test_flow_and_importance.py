"""Information flow routes and head importance, against loops over hooks and differences."""

import numpy as np
import pytest
import torch
from attributions import FAMILIES, LINEAR, every, metric_of, setting_of

from acdc.errors import SettingsError
from acdc.methods import Hisp, Ifr
from acdc.methods.importance import component_importance
from acdc.metrics import METRICS
from acdc.models.attention import Attention
from acdc.models.patched import run_patched


@pytest.mark.parametrize("family", ["gpt2", "gpt-neox-parallel", "gemma2"])
def test_flow_is_the_share_of_each_source_in_what_a_slot_reads(family):
    setting = setting_of(family, batch_size=3)
    scores, graph, read = Ifr().find(setting, METRICS["kl"]).scores, setting.graph, {}

    def note(slots, total):
        read.update((slot.index, x) for slot, x in zip(slots, total, strict=True))
        return total

    given = setting.contributions
    with torch.no_grad():
        kept = torch.as_tensor(every(setting))
        rows = slice(0, 3)
        written, _ = run_patched(
            setting.model, graph, setting.tokens, given.inputs, kept, given.ablated(rows), edit=note
        )
    for slot in graph.slots:
        expected = np.zeros(slot.n_parents)
        for prompt, length in enumerate(setting.tokens.lengths):
            for position in range(length):
                x = read[slot.index][prompt, position]
                near = [
                    max(float(x.abs().sum() - (x - a[prompt, position]).abs().sum()), 0.0)
                    for a in written[: slot.n_parents]
                ]
                expected += np.array(near) / sum(near) / length / len(setting.prompts) if sum(near) else 0
        assert np.allclose(scores[slot.edges], expected, atol=1e-12)
        assert scores[slot.edges].sum() == pytest.approx(1)


def test_flow_ties_within_a_layer_and_says_so():
    setting = setting_of("gpt2")
    found = Ifr().find(setting, METRICS["kl"])
    heads = [slot for slot in setting.graph.slots if slot.node.layer == 1 and slot.letter]
    assert all(np.array_equal(found.scores[slot.edges], found.scores[heads[0].edges]) for slot in heads)
    assert "q, k, v and all heads of a layer tie" in Ifr().cost(setting.graph).words
    assert list(found.measured["conservation"]["parts"]) == ["a0", "m0", "a1", "m1", "logits"]
    assert found.measured["conservation"]["residual"] < 1e-12


@pytest.mark.parametrize("ablation", ["corrupted", "mean", "zero"])
def test_an_mlps_importance_is_its_attribution_prompt_by_prompt_without_signs(ablation):
    setting = setting_of("gpt2", ablation, batch_size=1)  # a chunk a prompt, so that slopes come by prompt
    importance = component_importance(setting, LINEAR, None)
    for layer in range(2):
        own = np.array([edge.source.name == f"m{layer}" for edge in setting.graph.edges()])
        expected = 0.0
        for prompt in range(3):
            values = []
            for step in (1e-4, -1e-4):
                total = 0.0
                rows = slice(prompt, prompt + 1)
                given, scored = setting.contributions, setting.scored(rows)
                weights = torch.ones(setting.graph.n_edges, dtype=torch.float64)
                weights[own] = 1 - step
                with torch.no_grad():
                    _, residual = run_patched(
                        setting.model,
                        setting.graph,
                        setting.tokens[rows],
                        given.inputs[:, rows],
                        weights,
                        given.ablated(rows),
                    )
                    total = LINEAR.per_prediction(
                        setting.predictions(residual, rows), setting.model_logits[scored], setting.answers[scored]
                    ).sum()
                values.append(float(total) / len(setting.rows))
            expected += abs(values[0] - values[1]) / 2e-4
        slot = setting.graph.slot(f"m{layer}")
        assert expected > 1e-4
        assert importance[slot.index] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("letter", ["q", "k", "v"])
def test_importance_of_a_heads_vectors_is_the_slope_of_mixing_them_prompt_by_prompt(letter, monkeypatch):
    setting = setting_of("gpt2", batch_size=1)
    importance = component_importance(setting, LINEAR, None)
    behind, attention, head = Attention.behind, setting.model.attention[1], 2
    seen, mixed = [], {"by": None}

    def edited(self, which, y, own, table):
        if self is attention and which == letter and own == [head]:
            seen.append(y)
            y = y if mixed["by"] is None else y + mixed["by"]
        return behind(self, which, y, own, table)

    monkeypatch.setattr(Attention, "behind", edited)
    expected = 0.0
    for prompt in range(3):
        rows = slice(prompt, prompt + 1)

        def run(kept, by=None, rows=rows):
            mixed["by"], given, scored = by, setting.contributions, setting.scored(rows)
            weights = torch.full((setting.graph.n_edges,), kept, dtype=torch.float64)
            tokens, inputs = setting.tokens[rows], given.inputs[:, rows]
            with torch.no_grad():
                _, x = run_patched(setting.model, setting.graph, tokens, inputs, weights, given.ablated(rows))
                logits = setting.predictions(x, rows)
                values = LINEAR.per_prediction(logits, setting.model_logits[scored], setting.answers[scored])
            return float(values.sum()) / len(setting.rows), seen[-1]

        change = run(0.0)[1] - run(1.0)[1]  # what the head makes on the corrupted prompt, less that on the clean one
        expected += abs(run(1.0, 1e-4 * change)[0] - run(1.0, -1e-4 * change)[0]) / 2e-4
    assert expected > 1e-4
    assert importance[setting.graph.slot(f"a1.h{head}<{letter}>").index] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_importance_is_of_all_components_and_does_not_depend_on_batches(family):
    importance = component_importance(setting_of(family), LINEAR, None)
    assert (importance[:-1] > 0).all()
    assert np.allclose(component_importance(setting_of(family, batch_size=1), LINEAR, None), importance, atol=1e-12)


def test_an_edge_is_as_important_as_the_less_important_of_its_ends():
    setting = setting_of("gpt2")
    graph, importance = setting.graph, component_importance(setting, LINEAR, None)
    scores = Hisp().find(setting, LINEAR).scores
    normed = importance.copy()
    for layer in range(2):
        own = [slot.index for slot in graph.slots if slot.node.layer == layer]
        normed[own] /= np.linalg.norm(importance[own])
    named = {slot.name: normed[slot.index] for slot in graph.slots}
    head = max(named[f"a0.h1<{letter}>"] for letter in "qkv")
    assert scores[graph.edge("a0.h1->a1.h0<k>").number] == pytest.approx(min(head, named["a1.h0<k>"]))
    assert scores[graph.edge("m0->logits").number] == pytest.approx(named["m0"])
    assert scores[graph.edge("input->m0").number] == pytest.approx(named["m0"])
    assert scores[graph.edge("input->logits").number] == pytest.approx(max(named.values()))


def test_importance_by_kl_is_refused():
    with pytest.raises(SettingsError, match=r"hisp takes the gradient .* of kl is 0"):
        Hisp().find(setting_of("gpt2"), METRICS["kl"])
    assert abs(metric_of(setting_of("gpt2"), every(setting_of("gpt2")), measure=METRICS["kl"])) < 1e-12
