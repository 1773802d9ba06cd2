"""Direct logit attribution against Hugging Face's own activations."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hooked import PARTS, Watched, answered, model_of

import acdc
from acdc.analysis.direct import direct_attribution
from acdc.analysis.heads import head_attribution
from acdc.analysis.layers import layer_attribution
from acdc.engine.setting import prepare
from acdc.errors import SettingsError
from acdc.metrics import logit_difference
from acdc.pairs import PromptSet


@torch.no_grad()
def shares(model, family, ids, position, token):
    """By the name of each node what it adds to a token's logit, by hooks on the model's own modules."""
    watched = Watched(model, family, ids)
    norm, weight = model.get_submodule(PARTS[family][3]), model.get_output_embeddings().weight[token]
    x = watched.last[position]
    centred = x if "llama" in family else x - x.mean()
    scale = (centred.pow(2).mean() + getattr(norm, "eps", getattr(norm, "variance_epsilon", None))).sqrt()

    def logit(a):
        a = a if "llama" in family else a - a.mean()
        return float((a / scale * norm.weight) @ weight)

    found = {"input": logit(watched.streams[0][position])}
    for layer, (z, w_o) in enumerate(watched.heads):
        for head in range(len(w_o)):
            found[f"a{layer}.h{head}"] = logit(z[position, head] @ w_o[head])
        found[f"m{layer}"] = logit(watched.mlps[layer][position])
    return found, float(watched.logits[position, token])


@pytest.mark.parametrize("family", ["gpt2", "llama", "llama-biases", "gpt-neox-parallel"])
def test_every_nodes_share_is_that_of_the_models_own_activations(family):
    theirs, pairs = model_of(family), answered()
    setting = prepare(acdc.load_model(theirs), pairs)
    close = 1e-10 if family == "gpt2" else 3e-6  # Llama's own norms and NeoX's softmax are in float32
    found = direct_attribution(setting)
    at = 0
    for prompt, pair in enumerate(pairs.pairs):
        for position in pair.answer_positions:
            assert (found.prompts[at], found.positions[at]) == (prompt, position)
            for tokens, got, constant in (
                (found.right_tokens, found.right, found.constant_right),
                (found.wrong_tokens, found.wrong, found.constant_wrong),
            ):
                expected, logit = shares(theirs, family, pair.clean, position, int(tokens[at]))
                assert found.nodes == tuple(expected)
                np.testing.assert_allclose(got[:, at], list(expected.values()), rtol=0, atol=close)
                assert got[:, at].sum() + constant[at] == pytest.approx(logit, abs=close)
            at += 1
    assert at == len(found.prompts)
    assert np.abs(found.difference).max() > 0.1


@pytest.mark.parametrize("family", ["gpt2", "olmo2", "gpt-neox-parallel", "cohere", "granite", "deepseek-v3", "phi"])
def test_they_add_up_to_the_logit_difference_and_chunks_change_nothing(family):
    model = acdc.load_model(model_of(family))
    setting = prepare(model, answered())
    found, by_twos = direct_attribution(setting), direct_attribution(prepare(model, answered(), batch_size=2))
    expected = logit_difference(setting.model_logits, setting.answers).numpy()
    np.testing.assert_allclose(found.total, expected, rtol=0, atol=1e-9)
    assert not found.capped
    assert np.abs(expected).max() > 0.1
    for name in ("right", "wrong", "constant_right", "constant_wrong", "right_tokens", "prompts", "positions"):
        np.testing.assert_allclose(getattr(found, name), getattr(by_twos, name), rtol=0, atol=1e-9)


def test_where_logits_are_capped_they_add_up_to_what_is_in_front_of_the_cap():
    theirs, pairs = model_of("gemma2"), answered()
    found = direct_attribution(prepare(acdc.load_model(theirs), pairs))
    assert found.capped
    for at, (prompt, position) in enumerate(zip(found.prompts, found.positions, strict=True)):
        watched = Watched(theirs, "gemma2", pairs.pairs[prompt].clean)
        logits = watched.uncapped[position]
        right, wrong = int(found.right_tokens[at]), int(found.wrong_tokens[at])
        assert found.total[at] == pytest.approx(float(logits[right] - logits[wrong]), abs=3e-6)
        assert abs(found.total[at] - float(watched.logits[position, right] - watched.logits[position, wrong])) > 1e-3


def test_the_answers_are_the_best_of_those_given():
    setting = prepare(acdc.load_model(model_of("gpt2")), answered())
    found = direct_attribution(setting)
    for at, logits in enumerate(setting.model_logits):
        for tokens, chosen in (
            (setting.answers.right, found.right_tokens),
            (setting.answers.wrong, found.wrong_tokens),
        ):
            given = [token for token in tokens[at].tolist() if token >= 0]
            assert chosen[at] == max(given, key=lambda token: logits[token])


def test_a_model_without_a_norm_and_with_its_input_split(tmp_path):
    from tiny import save_toy

    model = acdc.load_model(save_toy(tmp_path / "toy"))
    pairs = answered(vocab=18)
    setting = prepare(model, pairs, split_input=True)
    found = direct_attribution(setting)
    assert found.nodes[:2] == ("embed", "pos_embed")
    expected = logit_difference(setting.model_logits, setting.answers).numpy()
    np.testing.assert_allclose(found.total, expected, rtol=0, atol=1e-5)
    biases = sum(attention.b_O for attention in model.attention) @ model.readout().weight + model.readout().bias
    right = biases[torch.from_numpy(found.right_tokens)]
    np.testing.assert_allclose(found.constant_right, right.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "phi", "cohere", "gemma2"])
def test_without_wrong_answers_the_right_one_is_compared_with_the_mean_of_all(family):
    theirs, pairs = model_of(family), answered()
    bare = PromptSet(tuple(replace(pair, wrong_answers=()) for pair in pairs.pairs), "some")
    setting = prepare(acdc.load_model(theirs), bare, batch_size=2)
    found, beside = direct_attribution(setting), direct_attribution(prepare(acdc.load_model(theirs), pairs))
    np.testing.assert_allclose(found.right, beside.right, rtol=0, atol=1e-9)
    assert (found.wrong_tokens == -1).all()
    for at, (prompt, position) in enumerate(zip(found.prompts, found.positions, strict=True)):
        with torch.no_grad():
            logits = theirs(torch.tensor([pairs.pairs[prompt].clean])).logits[0, position]
        if family == "gemma2":
            logits = Watched(theirs, family, pairs.pairs[prompt].clean).uncapped[position]
        expected = float(logits[found.right_tokens[at]] - logits.mean())
        assert found.total[at] == pytest.approx(expected, abs=3e-6)
    assert found.table().columns[:4] == ("node", "difference", "right", "mean of all outputs")
    heads = head_attribution(setting, heads="a1.h2")
    share = found.difference[found.nodes.index("a1.h2")]
    np.testing.assert_allclose(np.nansum(heads.by_position[0], 1), share, rtol=0, atol=1e-9)
    layers = layer_attribution(setting)
    np.testing.assert_allclose(layers.difference.sum(0), found.total, rtol=0, atol=1e-9)
    assert layers.table().columns[-1] == "mean of all outputs"


def test_pairs_without_right_answers_are_refused():
    pairs = PromptSet(tuple(replace(pair, answers=(), wrong_answers=()) for pair in answered().pairs), "some")
    with pytest.raises(SettingsError, match=r"^some: attribution .* there are pairs without; add them\.$"):
        direct_attribution(prepare(acdc.load_model(model_of("gpt2")), pairs))


def test_the_unembedding_is_tried_out_once_until_it_is_edited():
    model = acdc.load_model(model_of("gpt2"))
    module, runs = model.bridge.unembed.original_component, []
    hook = module.register_forward_hook(lambda *given: runs.append(1))
    first = model.readout()
    before = len(runs)
    assert torch.equal(model.readout().weight, first.weight)
    assert len(runs) == before
    with torch.no_grad():
        module.weight.mul_(2)
    assert torch.equal(model.readout().weight, module.weight.T)
    assert len(runs) == before + 1
    hook.remove()
    module.register_forward_hook(lambda module, given, logits: logits + 1)
    module.weight = torch.nn.Parameter(module.weight.detach().clone())
    assert model.readout() is None


def test_its_table_and_picture(tmp_path):
    found = direct_attribution(prepare(acdc.load_model(model_of("gpt2")), answered()))
    rows = {row[0]: row for row in found.table().rows}
    assert repr(found) == "DirectAttribution(13 rows)"
    assert list(rows) == [*found.nodes, "constant", "total"]
    assert rows["total"][1] == pytest.approx(found.total.mean())
    assert rows["a1.h2"][1:4] == pytest.approx(
        [found.difference[found.nodes.index("a1.h2")].mean()]
        + [each[found.nodes.index("a1.h2")].mean() for each in (found.right, found.wrong)]
    )
    _name, value = found.strongest(1)[0]
    assert abs(value) == pytest.approx(max(abs(row[1]) for key, row in rows.items() if key in found.nodes))
    assert found.draw(tmp_path / "direct.svg").read_text().count("<svg") == 1
