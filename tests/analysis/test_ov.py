"""What heads write of each token, against Hugging Face's own values and weights."""

from contextlib import ExitStack

import numpy as np
import pytest
import torch
from hooked import PARTS, Watched, answered, model_of
from tiny import WORDS, save_toy, write_pairs

import acdc
from acdc.analysis.ov import ov_summary
from acdc.engine.setting import prepare
from acdc.errors import SettingsError


def logits(found, head, prompt, n_outputs=50):
    """``[pos, n_outputs]`` of a summary that names every output."""
    at, row = found.heads.index(head), found.prompts.index(prompt)
    n = len(found.pairs[row].tokens)
    made = np.full((n, n_outputs), np.nan)
    np.put_along_axis(made, found.highest[at, row, :n], found.highest_logits[at, row, :n], 1)
    return made


@torch.no_grad()
def own_values(theirs, family, ids):
    """What the model's own projections make of values, by layer: ``[head, pos, d_head]``."""
    name, n_heads = {
        "gpt2": ("transformer.h.{}.attn.c_attn", 4),
        "llama": ("model.layers.{}.self_attn.v_proj", 2),
        "gpt-neox-parallel": ("gpt_neox.layers.{}.attention.query_key_value", 4),
    }[family]
    seen = []
    with ExitStack() as stack:
        for layer in range(2):
            module = theirs.get_submodule(name.format(layer))
            stack.callback(module.register_forward_hook(lambda _, args, out: seen.append(out[0])).remove)
        theirs(torch.tensor([ids]))
    if family == "gpt2":
        seen = [x.chunk(3, -1)[2] for x in seen]
    if family == "gpt-neox-parallel":
        return [x.unflatten(-1, (n_heads, 3, -1))[..., 2, :].movedim(1, 0) for x in seen]
    found = [x.unflatten(-1, (n_heads, -1)).movedim(1, 0) for x in seen]
    return [x.repeat_interleave(4 // n_heads, 0) for x in found]


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt-neox-parallel"])
@torch.no_grad()
def test_each_sources_logits_are_those_of_the_models_own_values(family):
    theirs, pairs = model_of(family), answered()
    found = ov_summary(prepare(acdc.load_model(theirs), pairs, batch_size=2), top=50)
    norm, weight = theirs.get_submodule(PARTS[family][3]), theirs.get_output_embeddings().weight
    for prompt, pair in enumerate(pairs.pairs):
        watched, values = Watched(theirs, family, pair.clean), own_values(theirs, family, pair.clean)
        last = pair.answer_positions[-1]
        assert found.positions[prompt] == last
        x = watched.last[last]
        x = x if family == "llama" else x - x.mean()
        scale = (x.pow(2).mean() + getattr(norm, "eps", getattr(norm, "variance_epsilon", None))).sqrt()
        for layer, head in np.ndindex(2, 4):
            written = values[layer][head] @ watched.heads[layer][1][head]  # [pos, d_model]
            written = written if family == "llama" else written - written.mean(-1, keepdim=True)
            expected = (written / scale * norm.weight) @ weight.T
            expected -= expected.mean(-1, keepdim=True)
            got = logits(found, f"a{layer}.h{head}", prompt)
            np.testing.assert_allclose(got, expected.numpy(), rtol=0, atol=3e-6)
            n, at = len(pair.clean), 4 * layer + head
            np.testing.assert_allclose(found.own[at, prompt, :n], got[range(n), pair.clean], rtol=0, atol=1e-12)
            look = watched.attentions[layer][head, last].numpy()
            np.testing.assert_allclose(found.weights[at, prompt, :n], look, rtol=0, atol=3e-6)
            assert np.isnan(found.weights[at, prompt, n:]).all()
            assert (found.highest[at, prompt, n:] == -1).all()


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt-neox-parallel", "gemma2", "granite"])
@torch.no_grad()
def test_by_its_weights_they_add_up_to_what_the_head_writes(family):
    theirs, pairs = model_of(family), answered(1)
    found = ov_summary(prepare(acdc.load_model(theirs), pairs), top=50)
    watched, (pair,) = Watched(theirs, family, pairs.pairs[0].clean), pairs.pairs
    last = pair.answer_positions[-1]
    norm, weight = theirs.get_submodule(PARTS[family][3]), theirs.get_output_embeddings().weight
    centre = (lambda a: a - a.mean()) if family in ("gpt2", "gpt-neox-parallel") else (lambda a: a)
    eps = getattr(norm, "variance_epsilon", 1e-5 if family != "gemma2" else 1e-6)
    scale = (centre(watched.last[last]).pow(2).mean() + eps).sqrt()
    for layer, (z, w_o) in enumerate(watched.heads):
        written = [z[last, head] @ w_o[head] for head in range(4)]
        if family == "gemma2":  # the heads share a norm behind their sum
            behind = theirs.model.layers[layer].post_attention_layernorm
            rms = (sum(written).pow(2).mean() + 1e-6).sqrt()
            written = [each / rms * (1 + behind.weight) for each in written]
        for head, each in enumerate(written):
            gain = 1 + norm.weight if family == "gemma2" else norm.weight
            expected = (centre(each) / scale * gain) @ weight.T
            if family == "granite":
                expected = expected * 0.7 / 2.0  # of what blocks add, and of logits
            expected -= expected.mean()
            at = 4 * layer + head
            total = found.weights[at, 0, :9] @ logits(found, f"a{layer}.h{head}", 0)
            np.testing.assert_allclose(total, expected.numpy(), rtol=0, atol=1e-5)


def test_highest_and_lowest_and_how_they_read(tmp_path, gpt2_model):
    lines = [{"clean": "Mary met John", "corrupted": "Ann met John", "answer": " Mary", "wrong_answer": " Ann"}]
    setting = acdc.set_up(gpt2_model, write_pairs(tmp_path / "pairs.jsonl", lines))
    found, every = ov_summary(setting, "a1.h0", top=3), ov_summary(setting, "a1.h0", top=40)
    whole = logits(every, "a1.h0", 0, 40)
    for place in range(3):
        order = np.argsort(-whole[place])
        assert found.highest[0, 0, place].tolist() == order[:3].tolist()
        assert found.lowest[0, 0, place].tolist() == order[:-4:-1].tolist()
        np.testing.assert_allclose(found.lowest_logits[0, 0, place], whole[place][order[:-4:-1]], rtol=1e-5)
        read = [each.token for each in found.of("a1.h0", 0)[place]]
        assert read == [WORDS[token - 1] if 1 <= token <= len(WORDS) else str(token) for token in order[:3]]
        lowest = [(each.token, each.value) for each in found.lowest_of("a1.h0", 0)[place]]
        texts = [WORDS[token - 1] if 1 <= token <= len(WORDS) else str(token) for token in order[:-4:-1]]
        assert lowest == list(zip(texts, found.lowest_logits[0, 0, place].tolist(), strict=True))
        ends = found.table().rows[place][6:]
        assert ends == (" ".join(read), whole[place].max(), " ".join(texts), whole[place].min())
    assert [row[3] for row in found.table().rows] == ["Mary", " met", " John"]
    assert found.draw(tmp_path / "ov.svg").stat().st_size > 1000


def test_outputs_that_are_fewer_than_tokens(tmp_path):
    pairs = answered(vocab=18)
    model = acdc.load_model(save_toy(tmp_path / "toy"))  # 20 tokens, 18 outputs
    pair = pairs.pairs[0]
    object.__setattr__(pair, "clean", (19, *pair.clean[1:]))
    found = ov_summary(prepare(model, pairs), "a0.h0", prompts=0)
    assert np.isnan(found.own[0, 0, 0])
    assert not np.isnan(found.own[0, 0, 1:9]).any()
    with pytest.raises(SettingsError, match="`top` must be 1 to 18, the model's outputs, not 19"):
        ov_summary(prepare(model, pairs), top=19)
