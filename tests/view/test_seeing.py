"""What running the model adds to a page, against Hugging Face's own run and acdc's own figures."""

import numpy as np
import pytest
import torch
from tiny import gpt2, pairs, save_gpt2, write_pairs

import acdc
from acdc.analysis.detectors import head_detectors, labels
from acdc.analysis.direct import direct_attribution
from acdc.analysis.ov import ov_summary
from acdc.analysis.seeing import Side, see
from acdc.evaluation.behaviour import evaluate

pytestmark = pytest.mark.random_models


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return acdc.load_model(save_gpt2(tmp_path_factory.mktemp("model")), dtype="float64")


@pytest.fixture(scope="module")
def sides(model, tmp_path_factory):
    file = write_pairs(tmp_path_factory.mktemp("prompts") / "pairs.jsonl", pairs(10))
    return [Side(acdc.set_up(model, file, n=6, split=split), split == "test") for split in ("train", "test")]


@pytest.fixture(scope="module")
def circuit(sides):
    graph = sides[0].setting.graph
    scores = np.random.default_rng(0).normal(size=graph.n_edges)
    return acdc.Circuit(graph, graph.on_path(np.abs(scores) > 0.7), scores)


@pytest.fixture(scope="module")
def seen(circuit, sides):
    return see(circuit, sides, "logit-diff")


def likely(logits):
    best = logits.softmax(-1).topk(5)
    return [(str(token), value) for token, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)]


@pytest.mark.parametrize(("state", "prompt"), [("model", "clean"), ("ablated", "corrupted")])
def test_the_likeliest_tokens_of_the_model_and_of_the_ablated_one_are_hugging_face_s(seen, sides, state, prompt):
    hf = gpt2().double()
    given = [pair for side in sides for pair in side.setting.prompts.pairs]
    assert len(seen.prompts) == len(given) > 6
    for shown, pair in zip(seen.prompts, given, strict=True):
        with torch.no_grad():
            logits = hf(torch.tensor([getattr(pair, prompt)])).logits[0]
        assert len(shown.likely[state]) == len(pair.answer_positions)
        for found, position in zip(shown.likely[state], pair.answer_positions, strict=True):
            for one, (token, value) in zip(found, likely(logits[position]), strict=True):
                assert one.token == token
                assert one.value == pytest.approx(value, abs=1e-9)


def test_values_of_prompts_have_the_means_that_an_evaluation_has(seen, sides, circuit):
    for side in sides:
        prompts = [prompt for prompt in seen.prompts if prompt.held_out == side.held_out]
        judged = evaluate(side.setting, circuit.in_graph).states
        for state in ("model", "circuit", "ablated"):
            for name, value in judged[state].metrics.items():
                assert np.mean([prompt.values[state][name] for prompt in prompts]) == pytest.approx(value, abs=1e-9)


def test_a_point_of_the_curve_is_the_circuit_of_the_largest_scores(seen, sides, circuit):
    setting, order = sides[0].setting, np.argsort(-np.abs(circuit.scores))
    assert [point.asked for point in seen.curve] == sorted({point.asked for point in seen.curve})
    for point in seen.curve[-3:]:
        mask = np.zeros(circuit.graph.n_edges, dtype=bool)
        mask[order[: point.asked]] = True
        judged = evaluate(setting, mask, metrics=("logit-diff",))
        assert point.n_edges == circuit.graph.on_path(mask).sum()
        assert point.figures["kl"] == pytest.approx(judged.circuit.metrics["kl"], abs=1e-9)
        assert point.figures["faithfulness"] == pytest.approx(judged.faithfulness, abs=1e-9)
    assert seen.curve[-1].asked == circuit.graph.n_edges
    assert seen.curve[-1].figures["faithfulness"] == pytest.approx(1)


def test_where_no_score_ranks_the_edges_there_is_no_curve_and_a_sentence(sides, circuit):
    for scores in (np.zeros(circuit.graph.n_edges), np.full(circuit.graph.n_edges, np.nan)):
        found = see(acdc.Circuit(circuit.graph, circuit.in_graph, scores), sides[:1])
        assert not found.curve
        assert any("no curve" in sentence for sentence in found.missing)


def test_direct_attribution_stands_at_its_prompt_and_node(seen, sides):
    at = 0
    for side in sides:
        direct = direct_attribution(side.setting)
        assert len(set(direct.prompts)) == len(direct.prompts)
        for prompt, right, wrong in zip(direct.prompts, direct.right.T, direct.wrong.T, strict=True):
            for name, node in seen.nodes.items():
                if name != "logits":
                    i = direct.nodes.index(name)
                    np.testing.assert_allclose(node.direct[at + prompt], (right[i], wrong[i]), atol=1e-12)
        at += len(side.setting.prompts)


def test_patterns_are_those_of_hugging_face_s(seen, sides):
    hf = gpt2()
    hf.config._attn_implementation = "eager"
    hf = hf.double()
    given = [pair for side in sides for pair in side.setting.prompts.pairs]
    heads = [name for name in seen.nodes if ".h" in name]
    assert heads
    for name in heads:
        layer, head = map(int, name[1:].split(".h"))
        assert seen.nodes[name].patterns
        for prompt, pattern in seen.nodes[name].patterns.items():
            for mine, tokens in ((pattern.clean, given[prompt].clean), (pattern.corrupted, given[prompt].corrupted)):
                with torch.no_grad():
                    theirs = hf(torch.tensor([tokens]), output_attentions=True).attentions[layer][0, head]
                np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-6)


def test_heads_have_their_detectors_and_labels_and_what_they_write(seen, sides):
    setting = sides[0].setting
    made = head_detectors(setting)
    known = labels(made)
    heads = [name for name in seen.nodes if ".h" in name]
    for name in heads:
        node = seen.nodes[name]
        assert node.detectors == made.of(name)
        assert node.label == known.get(name)
        prompt = next(i for i in node.writes if i < len(setting.prompts))
        written = ov_summary(setting, name, prompts=[prompt], top=4)
        ends = {"raised": written.of(name, prompt), "lowered": written.lowest_of(name, prompt)}
        assert len(node.writes[prompt]) == len(seen.prompts[prompt].pair.tokens)
        for end, wanted in ends.items():
            for found, other in zip((getattr(each, end) for each in node.writes[prompt]), wanted, strict=True):
                assert [one.token for one in found] == [one.token for one in other]
                assert [one.value for one in found] == pytest.approx([one.value for one in other])
                assert all(one.value > 0 for one in found) == (end == "raised")
    assert all(not node.detectors and not node.writes for name, node in seen.nodes.items() if name not in heads)


def test_only_nodes_of_the_circuit_are_looked_at(seen, circuit):
    assert set(seen.nodes) == {node.name for node in circuit.nodes()}
    assert seen.nodes["logits"].direct is None


def test_too_many_prompts_leave_the_worst_ones_and_a_sentence(sides, circuit, monkeypatch):
    whole = see(circuit, sides)
    monkeypatch.setattr("acdc.analysis.seeing._MOST_DIRECT", 3 * len(circuit.nodes()))
    found = see(circuit, sides)
    assert len(found.prompts) == 3
    values = sorted((prompt.values["circuit"]["kl"] for prompt in whole.prompts), reverse=True)
    assert sorted((prompt.values["circuit"]["kl"] for prompt in found.prompts), reverse=True) == values[:3]
    assert any("3 are shown" in sentence for sentence in found.missing)
    for node in found.nodes.values():
        assert node.direct is None or len(node.direct) == 3
        assert set(node.patterns) <= {0, 1, 2}
