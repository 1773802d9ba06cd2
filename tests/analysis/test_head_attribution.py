"""Heads taken apart, against weights and activations that Hugging Face's own modules give."""

import numpy as np
import pytest
import torch
from hooked import PARTS, Watched, answered, model_of

import acdc
from acdc.analysis.direct import direct_attribution
from acdc.analysis.heads import STRONGEST, head_attribution
from acdc.engine.setting import prepare
from acdc.errors import SettingsError, UnknownNameError


def gpt2_block(model, layer):
    """Weights of each head of a GPT-2's layer: ``W_Q``, ``W_K``, ``W_V`` and ``W_O``, biases and the norm in front."""
    block, n = model.transformer.h[layer], model.config.n_head
    weights = [each.unflatten(-1, (n, -1)).movedim(1, 0) for each in block.attn.c_attn.weight.split(32, -1)]
    biases = [each.unflatten(-1, (n, -1)) for each in block.attn.c_attn.bias.split(32, -1)]
    return weights, block.attn.c_proj.weight.unflatten(0, (n, -1)), biases, block.ln_1


def llama_block(model, layer):
    """The same of a Llama's, with its keys and values once for each query head."""
    block, n = model.model.layers[layer], model.config.num_attention_heads
    attention, repeat = block.self_attn, n // model.config.num_key_value_heads
    weights = []
    for module in (attention.q_proj, attention.k_proj, attention.v_proj):
        weight = module.weight.T.unflatten(-1, (-1, attention.head_dim)).movedim(1, 0)
        weights.append(weight if len(weight) == n else weight.repeat_interleave(repeat, 0))
    return weights, attention.o_proj.weight.T.unflatten(0, (n, -1)), None, block.input_layernorm


def neox_block(model, layer):
    """The same of a GPT-NeoX's: queries, keys and values of each head side by side in one matrix."""
    block, n = model.gpt_neox.layers[layer], model.config.num_attention_heads
    fused = block.attention.query_key_value
    weights = fused.weight.T.unflatten(-1, (n, 3, -1)).movedim(0, 2)  # [head, 3, d_model, d_head]
    biases = fused.bias.unflatten(0, (n, 3, -1))
    w_o = block.attention.dense.weight.T.unflatten(0, (n, -1))
    return list(weights.unbind(1)), w_o, list(biases.unbind(1)), block.input_layernorm


BLOCKS = {"gpt2": gpt2_block, "llama": llama_block, "gpt-neox-parallel": neox_block}
#: Of a head's dimensions so many are rotated.
ROTATED = {"gpt2": 0, "llama": 8, "gpt-neox-parallel": 2}


def centred(x, family):
    return x if family == "llama" else x - x.mean(-1, keepdim=True)


def writers(watched, layer):
    """What each node in front of a layer writes, ``[pos, d_model]``."""
    found = {"input": watched.streams[0]}
    for below in range(layer):
        z, w_o = watched.heads[below]
        found |= {f"a{below}.h{head}": z[:, head] @ w_o[head] for head in range(len(w_o))}
        found[f"m{below}"] = watched.mlps[below]
    return found


def reader(theirs, family, x, right, wrong):
    """What reads the logit difference in the last residual stream, by the norm's own module."""
    norm, weight = theirs.get_submodule(PARTS[family][3]), theirs.get_output_embeddings().weight
    eps = norm.variance_epsilon if family == "llama" else norm.eps
    scale = (centred(x, family).pow(2).mean() + eps).sqrt()
    return centred((weight[right] - weight[wrong]) * norm.weight, family) / scale


def rotated(x, positions, width):
    """Rotary embedding of the first few dimensions of ``[pos, d_head]``, written out."""
    if not width:
        return x
    angles = positions[:, None] * 10000.0 ** (-torch.arange(0, width, 2).double() / width)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., : width // 2], x[..., width // 2 : width]
    return torch.cat((a * cos - b * sin, b * cos + a * sin, x[..., width:]), -1)


def expected_parts(theirs, family, watched, layer, head, position, to):
    """Of one head read at one position: pattern, share by position, score above the mean, and shares of each node."""
    (w_q, w_k, w_v), w_o, biases, norm = BLOCKS[family](theirs, layer)
    pattern, x, where = watched.attentions[layer][head, position], watched.streams[layer], torch.arange(position + 1)
    b_q, b_k, b_v = (0, 0, 0) if biases is None else (bias[head] for bias in biases)
    by_position = pattern * ((norm(x) @ w_v[head] + b_v) @ w_o[head] @ to)
    place = int(by_position.abs().argmax())
    eps = norm.variance_epsilon if family == "llama" else norm.eps
    gain = norm.weight / (centred(x, family).pow(2).mean(-1, keepdim=True) + eps).sqrt()
    size = w_q.shape[-1] ** 0.5

    def query(y, bias=0):
        return rotated((y @ w_q[head] + bias)[None, position], torch.tensor([position]), ROTATED[family])[0] / size

    def keys(y, bias=0):
        every = rotated((y @ w_k[head] + bias)[: position + 1], where, ROTATED[family])
        return every[place] - every.mean(0)

    score, shares = query(norm(x), b_q) @ keys(norm(x), b_k), {}
    for node, written in writers(watched, layer).items():
        part = centred(written, family) * gain
        value = (pattern * (part @ w_v[head] @ w_o[head] @ to)).sum()
        shares[node] = value, query(part) @ keys(norm(x), b_k), query(norm(x), b_q) @ keys(part)
    return pattern, by_position, place, score, shares


@pytest.mark.parametrize("family", BLOCKS)
@torch.no_grad()
def test_parts_are_those_of_the_models_own_weights_and_activations(family):
    theirs, pairs = model_of(family), answered()
    setting = prepare(acdc.load_model(theirs), pairs)
    found, direct = head_attribution(setting, heads=["a1.h2", "a1.h0", "a0.h3"]), direct_attribution(setting)
    assert found.heads == ("a0.h3", "a1.h0", "a1.h2")
    for at, (prompt, position) in enumerate(zip(found.prompts, found.positions, strict=True)):
        watched = Watched(theirs, family, pairs.pairs[prompt].clean)
        length, answers = len(watched.last), (int(direct.right_tokens[at]), int(direct.wrong_tokens[at]))
        to = reader(theirs, family, watched.last[position], *answers)
        for i, (layer, head) in enumerate([(0, 3), (1, 0), (1, 2)]):
            pattern, by_position, place, score, shares = expected_parts(
                theirs, family, watched, layer, head, position, to
            )
            np.testing.assert_allclose(found.by_position[i, at, :length], by_position, rtol=0, atol=3e-6)
            np.testing.assert_allclose(found.pattern[i, at, :length], pattern, rtol=0, atol=3e-6)
            assert np.isnan(found.by_position[i, at, length:]).all()
            assert found.looked_at[i, at] == place
            assert found.query.total[i, at] == found.key.total[i, at] == pytest.approx(float(score), abs=3e-6)
            for row, node in enumerate(found.nodes):
                got = [split.by_node[i, row, at] for split in (found.value, found.query, found.key)]
                expected = [float(share) for share in shares[node]] if node in shares else [np.nan] * 3
                np.testing.assert_allclose(got, expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize(
    "family", ["gpt2", "gemma2", "olmo2", "olmo-clip", "deepseek-v2", "bloom", "gpt-oss", "llama-dynamic"]
)
def test_positions_and_nodes_add_up_to_direct_attribution(family):
    """The constants too: with no norm bias, no value bias and no output bias there are none."""
    theirs = model_of(family)
    for name, parameter in theirs.named_parameters():
        if name.endswith("bias") and "mlp" not in name:
            parameter.data.zero_()
    model, pairs = acdc.load_model(theirs), answered()
    setting = prepare(model, pairs)
    names = ["a0.h3", "a1.h0", "a1.h2"]
    found, by_ones = (head_attribution(each, heads=names) for each in (setting, prepare(model, pairs, batch_size=1)))
    direct = direct_attribution(setting)
    assert found.heads == tuple(names)
    for i, name in enumerate(names):
        expected = direct.difference[direct.nodes.index(name)]
        np.testing.assert_allclose(np.nansum(found.by_position[i], axis=1), expected, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.value.total[i], expected, rtol=0, atol=1e-9)
    for split, other in ((found.value, by_ones.value), (found.query, by_ones.query), (found.key, by_ones.key)):
        size = np.abs(split.total).max()
        assert size > 0.01
        assert np.abs(split.constant).max() < 1e-9 * max(size, 1)
        np.testing.assert_allclose(split.by_node, other.by_node, rtol=0, atol=1e-9)


def test_by_default_the_strongest_heads_are_taken_apart(tmp_path):
    setting = prepare(acdc.load_model(model_of("gpt2")), answered())
    found, direct = head_attribution(setting), direct_attribution(setting)
    heads = [name for name, _ in direct.strongest(len(direct.nodes)) if name.startswith("a")]
    assert sorted(found.heads) == sorted(heads[:STRONGEST])
    rows = found.table().rows
    v = [row[-1] for row in rows if row[:3] == (found.heads[0], "v", "node")]
    total = [row[-1] for row in rows if row[:3] == (found.heads[0], "v", "total")]
    assert sum(v) == pytest.approx(total[0])
    name, share = found.strongest(found.heads[-1], "q", 1)[0]
    assert (found.heads[-1], "q", "node", name, pytest.approx(share)) in rows
    assert f"{found.heads[0]} through v" in found.draw(tmp_path / "heads.svg").read_text()


def test_heads_that_there_are_not_are_named():
    setting = prepare(acdc.load_model(model_of("gpt2")), answered())
    with pytest.raises(SettingsError, match=r"a2\.h0.* is out of range"):
        head_attribution(setting, heads="a2.h0")
    with pytest.raises(SettingsError, match="m0 is no head"):
        head_attribution(setting, heads=["a0.h0", "m0"])
    with pytest.raises(UnknownNameError):
        head_attribution(setting, heads=["b0.h0"])
