"""Logit lens and layer attribution against Hugging Face's own activations."""

import numpy as np
import pytest
import torch
from hooked import PARTS, Watched, answered, model_of

import acdc
from acdc.analysis.layers import layer_attribution
from acdc.analysis.lens import logit_lens
from acdc.engine.setting import prepare
from acdc.metrics import logit_difference
from acdc.pairs import PromptSet, TokenPair


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt-neox-parallel", "gemma2", "granite"])
def test_each_depth_is_the_models_own_norm_and_unembedding_of_its_hidden_state(family):
    theirs, pairs = model_of(family), answered()
    model = acdc.load_model(theirs)
    setting = prepare(model, pairs)
    found, by_ones = logit_lens(setting), logit_lens(prepare(model, pairs, batch_size=1))
    assert found.depths == ("input", "0", "1")
    norm, head = theirs.get_submodule(PARTS[family][3]), theirs.get_output_embeddings()
    for at, (prompt, position) in enumerate(zip(found.prompts, found.positions, strict=True)):
        watched = Watched(theirs, family, pairs.pairs[prompt].clean)
        for depth, x in enumerate([*watched.streams, watched.last]):
            with torch.no_grad():
                logits = head(norm(x[position]))
                if family == "gemma2":
                    logits = 3 * torch.tanh(logits / 3)
                logits = logits / (2 if family == "granite" else 1)
            probabilities = logits.softmax(-1)
            assert found.top_tokens[depth, at] == logits.argmax()
            assert found.top_probabilities[depth, at] == pytest.approx(float(probabilities.max()), abs=1e-5)
            for seen in (found.right, found.wrong):
                token = seen.tokens[at]
                assert seen.logits[depth, at] == pytest.approx(float(logits[token]), abs=1e-5)
                assert seen.probabilities[depth, at] == pytest.approx(float(probabilities[token]), abs=1e-5)
                assert seen.ranks[depth, at] == 1 + logits.argsort(descending=True).tolist().index(token)
    np.testing.assert_allclose(found.difference[-1], logit_difference(setting.model_logits, setting.answers), atol=1e-9)
    np.testing.assert_allclose(found.difference, by_ones.difference, atol=1e-9)


def test_without_answers_the_likeliest_token_is_shown_alone(tmp_path):
    pairs = PromptSet((TokenPair((1, 2, 3), (4, 5, 6), (1, 2)),), "bare")
    found = logit_lens(prepare(acdc.load_model(model_of("gpt2")), pairs))
    assert (found.right, found.wrong, found.difference) == (None, None, None)
    assert found.table().columns == ("layer", "likeliest token", "of predictions")
    assert {row[1] for row in found.table().rows} <= set(map(str, found.top_tokens.flat))
    assert "likeliest token's" in found.draw(tmp_path / "lens.svg").read_text()


def test_the_lens_as_a_table_and_a_picture(tmp_path):
    found = logit_lens(prepare(acdc.load_model(model_of("gpt2")), answered()))
    table = found.table()
    last = dict(zip(table.columns, table.rows[-1], strict=True))
    assert last["layer"] == "1"
    assert last["difference"] == pytest.approx(found.difference[-1].mean())
    assert last["right rank"] == np.median(found.right.ranks[-1])
    assert "logit difference" in found.draw(tmp_path / "lens.svg").read_text()


@pytest.mark.parametrize("family", ["gpt2", "llama-biases", "gpt-neox-parallel"])
def test_layers_are_their_modules_outputs_and_add_up(family, tmp_path):
    theirs, pairs = model_of(family), answered()
    setting = prepare(acdc.load_model(theirs), pairs)
    found = layer_attribution(setting)
    assert found.parts == ("input", "a0", "m0", "a1", "m1", "constant")
    norm, weight = theirs.get_submodule(PARTS[family][3]), theirs.get_output_embeddings().weight
    layers, out, _, _ = PARTS[family]
    for at, (prompt, position) in enumerate(zip(found.direct.prompts, found.direct.positions, strict=True)):
        watched = Watched(theirs, family, pairs.pairs[prompt].clean)
        tokens = [int(found.direct.right_tokens[at]), int(found.direct.wrong_tokens[at])]
        parts, biases = [watched.streams[0]], 0.0
        for layer, (z, w_o) in enumerate(watched.heads):
            parts += [torch.einsum("phe,hed->pd", z, w_o), watched.mlps[layer]]
            biases = biases + theirs.get_submodule(f"{layers}.{layer}.{out}").bias
        with torch.no_grad():
            x = watched.last[position]
            last = norm(x) - (0 if getattr(norm, "bias", None) is None else norm.bias)
            gain = last / (x if family == "llama-biases" else x - x.mean())  # weight and scale, by the module itself
            for row, part in enumerate([*(part[position] for part in parts), biases]):
                centred = part if family == "llama-biases" else part - part.mean()
                expected = (centred * gain) @ weight[tokens].T
                if row == len(parts) and getattr(norm, "bias", None) is not None:
                    expected = expected + norm.bias @ weight[tokens].T
                got = (found.right[row, at], found.wrong[row, at])
                np.testing.assert_allclose(got, expected, rtol=0, atol=3e-6)
    so_far = [row[2] for row in found.table().rows]
    assert so_far[-1] == pytest.approx(float(logit_difference(setting.model_logits, setting.answers).mean()))
    assert "so far" in found.draw(tmp_path / "layers.svg").read_text()
