"""What heads write of every token, against products of the weights written out."""

import numpy as np
import pytest
from hooked import answered, model_of
from test_detectors import ov_logits
from tiny import save_toy

import acdc
from acdc.analysis.copying import AMONG, copying
from acdc.analysis.vocabulary import ov_vocabulary
from acdc.engine.setting import prepare
from acdc.errors import SettingsError

HEADS = ["a0.h2", "a1.h3"]


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt-neox-parallel", "gemma2"])
def test_ranks_and_the_highest_are_those_of_the_models_own_modules(family, monkeypatch):
    monkeypatch.setattr("acdc.analysis.vocabulary._NUMBERS", 50 * 7)
    theirs = model_of(family)
    found = ov_vocabulary(acdc.load_model(theirs), HEADS, top=4)
    assert found.heads == tuple(HEADS)
    assert found.tokens.tolist() == list(range(50))
    for at, (layer, head) in enumerate([(0, 2), (1, 3)]):
        logits = ov_logits(theirs, family, list(range(50)), layer, head).detach().numpy()
        order = np.argsort(-logits, 1)
        np.testing.assert_array_equal(found.highest[at], order[:, :4])
        ranks = [list(order[token]).index(token) for token in range(50)]
        np.testing.assert_array_equal(found.ranks[at], ranks)
        np.testing.assert_array_equal(found.lows[at], 49 - np.array(ranks))
        assert found.copied(3)[at] == np.mean(np.array(ranks) < 3)
        assert found.suppressed(3)[at] == np.mean(np.array(ranks) >= 47)


def test_with_all_tokens_of_the_task_it_agrees_with_the_detector():
    pairs = answered(5, (30, 30, 30, 30, 30))
    setting = prepare(acdc.load_model(model_of("gpt2")), pairs)
    found = ov_vocabulary(setting, None)
    assert {token for pair in pairs.pairs for token in (*pair.clean, *pair.corrupted)} == set(range(50))
    among = 50 // 20
    assert among < AMONG
    np.testing.assert_allclose(copying(setting), np.stack((found.copied(among), found.suppressed(among)), 1))


def test_some_tokens_and_those_that_are_no_outputs(tmp_path):
    model = acdc.load_model(save_toy(tmp_path / "toy"))  # 20 tokens, 18 outputs
    found = ov_vocabulary(model, "a0.h0", tokens=[19, 3], top=2)
    assert found.tokens.tolist() == [19, 3]
    assert found.ranks[0, 0] == found.lows[0, 0] == -1
    assert found.ranks[0, 1] + found.lows[0, 1] == 17
    whole = ov_vocabulary(model, "a0.h0", top=2)
    np.testing.assert_array_equal(found.highest[0], whole.highest[0, [19, 3]])
    assert found.copied(18) == 1
    assert [row[:3] for row in found.table().rows] == [("a0.h0", "19", None), ("a0.h0", "3", found.ranks[0, 1])]
    assert found.draw(tmp_path / "ov.svg").stat().st_size > 1000
    with pytest.raises(SettingsError, match="there is no token -1"):
        ov_vocabulary(model, "a0.h0", tokens=[-1])
    with pytest.raises(SettingsError, match="`top` must be 1 to 18"):
        ov_vocabulary(model, "a0.h0", top=0)
