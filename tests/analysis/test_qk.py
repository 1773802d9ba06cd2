"""Which tokens heads look for, against what Hugging Face's own attention makes of two tokens."""

import numpy as np
import pytest
import torch
from hooked import answered, model_of
from tiny import save_toy

import acdc
from acdc.analysis.patterns import attention_patterns
from acdc.analysis.qk import qk_summary
from acdc.analysis.vocabulary import qk_vocabulary
from acdc.engine.setting import prepare
from acdc.errors import SettingsError, UnknownNameError

FAMILIES = ["gpt2", "llama", "gpt-neox-parallel", "gemma2", "qwen3"]


def by_themselves(family):
    """A model in which heads of both layers read tokens by themselves: no positions, and silent first heads."""
    theirs = model_of(family)
    with torch.no_grad():
        if family == "gpt2":
            theirs.transformer.wpe.weight.zero_()
            silent = theirs.transformer.h[0].attn.c_proj
        elif family == "gpt-neox-parallel":
            silent = theirs.gpt_neox.layers[0].attention.dense
        else:
            silent = theirs.model.layers[0].self_attn.o_proj
        for parameter in silent.parameters():
            parameter.zero_()
    return theirs


@torch.no_grad()
def scores(theirs, ids, distance):
    """``[head, query, key]`` less the mean over keys: log ratios of the attention that two tokens get."""
    found = np.zeros((8, len(ids), len(ids)))
    for q, query in enumerate(ids):
        for k, key in enumerate(ids):
            row = torch.tensor([[key, *[query] * distance]])
            made = theirs(row, output_attentions=True, use_cache=False).attentions
            weights = torch.stack(made)[:, 0, :, -1].flatten(0, 1).double()  # [head, pos_k]
            found[:, q, k] = (weights[:, 0] / weights[:, -1]).log().numpy()
    return found - found.mean(-1, keepdims=True)


@pytest.mark.parametrize("distance", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_log_ratios_of_the_models_own_attention(family, distance):
    theirs = by_themselves(family)
    found = qk_summary(prepare(acdc.load_model(theirs), answered()), most=5, distance=distance)
    assert len(found.tokens) == 5
    expected = scores(theirs, found.tokens.tolist(), distance)
    np.testing.assert_allclose(found.scores, expected, rtol=0, atol=1e-5)
    assert np.abs(expected).max() > 0.1


def test_the_first_mlp_can_be_left_out():
    setting = prepare(acdc.load_model(by_themselves("gpt2")), answered())
    found, bare = (qk_summary(setting, most=5, first_mlp=first) for first in (True, False))
    np.testing.assert_array_equal(found.scores[:4], bare.scores[:4])
    assert np.abs(found.scores[4:] - bare.scores[4:]).max() > 0.01


@pytest.mark.parametrize("batch_size", [None, 2])
def test_weights_are_means_over_the_places_where_two_tokens_meet(batch_size):
    pairs = answered(vocab=6)
    setting = prepare(acdc.load_model(model_of("llama")), pairs, batch_size=batch_size)
    found, looks = qk_summary(setting, most=3), attention_patterns(setting, prompts=range(3))
    assert found.tokens.tolist() == qk_summary(setting, most=9).tokens.tolist()[:3]
    for q, query in enumerate(found.tokens):
        for k, key in enumerate(found.tokens):
            met = [
                looks.clean[:, prompt, i, j]
                for prompt, pair in enumerate(pairs.pairs)
                for i in range(len(pair.clean))
                for j in range(i + 1)
                if (pair.clean[i], pair.clean[j]) == (query, key)
            ]
            assert found.meetings[q, k] == len(met)
            if met:
                np.testing.assert_allclose(found.weights[:, q, k], np.mean(met, 0), rtol=0, atol=1e-12)
            else:
                assert np.isnan(found.weights[:, q, k]).all()


def test_the_most_frequent_tokens_come_first():
    pairs = answered(vocab=6)
    found = qk_summary(prepare(acdc.load_model(model_of("gpt2")), pairs), "a0.h0")
    used = [token for pair in pairs.pairs for token in pair.clean]
    counts = [used.count(token) for token in found.tokens]
    assert counts == sorted(counts, reverse=True)
    assert set(found.tokens) == set(used)


def test_the_table_begins_with_what_is_attended_most(tmp_path):
    found = qk_summary(prepare(acdc.load_model(model_of("gpt2")), answered(vocab=6)), ["a0.h1", "a1.h2"])
    rows = [row for row in found.table().rows if row[0] == "a1.h2"]
    assert len(rows) == (found.meetings > 0).sum()
    assert rows[0][3] == np.nanmax(found.weights[1])
    q, k = np.argwhere(found.weights[1] == rows[0][3])[0]
    assert rows[0][1:3] == (found.texts[q], found.texts[k])
    assert rows[0][4:] == (found.scores[1, q, k], found.meetings[q, k])
    assert found.draw(tmp_path / "qk.svg").stat().st_size > 1000


@pytest.mark.parametrize("family", FAMILIES)
def test_the_vocabulary_gives_the_same_scores_in_blocks(family, monkeypatch):
    monkeypatch.setattr("acdc.analysis.vocabulary._NUMBERS", 64 * 7)
    setting = prepare(acdc.load_model(model_of(family)), answered())
    few = qk_summary(setting, ["a0.h1", "a1.h3"], most=50, distance=1)
    found = qk_vocabulary(setting, ["a0.h1", "a1.h3"], queries=few.tokens[:4], top=50)
    places = {int(token): place for place, token in enumerate(few.tokens)}
    for at in range(2):
        for q in range(4):
            assert sorted(found.keys[at, q]) == list(range(50))
            assert (np.diff(found.scores[at, q]) <= 0).all()
            got = dict(zip(found.keys[at, q].tolist(), found.scores[at, q], strict=True))
            mine = np.array([got[token] for token in places])
            np.testing.assert_allclose(mine - mine.mean(), few.scores[at, q], rtol=0, atol=1e-9)
            assert np.mean(found.scores[at, q]) == pytest.approx(0, abs=1e-9)
    assert qk_vocabulary(setting, "a0.h1", top=3).keys.shape[2] == 3


def test_bad_arguments(tmp_path):
    model = acdc.load_model(save_toy(tmp_path / "toy"))
    setting = prepare(model, answered(vocab=18))
    with pytest.raises(SettingsError, match=r"'a2\.h0' is out of range"):
        qk_summary(setting, "a2.h0")
    with pytest.raises(UnknownNameError, match="unknown node"):
        qk_vocabulary(model, "m9", queries=[1])
    with pytest.raises(SettingsError, match="`most` must be at least 1 token, not 0"):
        qk_summary(setting, most=0)
    for distance in (-1, 12):
        with pytest.raises(SettingsError, match="`distance` must be 0 to 11 positions"):
            qk_summary(setting, distance=distance)
    with pytest.raises(SettingsError, match=r"a model alone has no task .* give `queries`"):
        qk_vocabulary(model, "a0.h0")
    with pytest.raises(SettingsError, match="`top` must be 1 to 20"):
        qk_vocabulary(setting, "a0.h0", top=21)
    with pytest.raises(SettingsError, match="there is no token 20; token ids are 0 to 19"):
        qk_vocabulary(model, "a0.h0", queries=[20])
    for queries, message in (([], "no tokens are asked for"), (3, "a list of token ids, not 3"), ("ab", "a list of")):
        with pytest.raises(SettingsError, match=message):
            qk_vocabulary(model, "a0.h0", queries=queries)
    with pytest.raises(SettingsError, match=r"takes a setting of `acdc\.set_up` or a model, not 'toy'"):
        qk_vocabulary("toy", "a0.h0")
