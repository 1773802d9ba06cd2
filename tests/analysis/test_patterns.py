"""Attention patterns against Hugging Face's own."""

import numpy as np
import pytest
import torch
from hooked import answered, model_of

import acdc
from acdc.analysis.patterns import FAINT, attention_patterns
from acdc.engine.setting import prepare
from acdc.errors import SettingsError, UnknownNameError


@pytest.fixture(scope="module")
def setting():
    return prepare(acdc.load_model(model_of("gpt2")), answered())


@torch.no_grad()
def attentions(theirs, ids):
    """``[layer, head, pos, pos]``, by the model's own output."""
    return torch.stack(theirs(torch.tensor([ids]), output_attentions=True, use_cache=False).attentions)[:, 0].numpy()


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt-neox-parallel", "gemma2", "olmo2", "gpt-oss", "deepseek-v3"])
def test_they_are_the_models_own_on_either_prompt(family):
    theirs, pairs = model_of(family), answered()
    found = attention_patterns(prepare(acdc.load_model(theirs), pairs, batch_size=2))
    assert found.heads[5:] == ("a1.h1", "a1.h2", "a1.h3")
    assert found.clean.shape == (8, 3, 9, 9)
    for prompt, pair in enumerate(pairs.pairs):
        n = len(pair.clean)
        for got, ids in ((found.clean, pair.clean), (found.corrupted, pair.corrupted)):
            expected = attentions(theirs, ids).reshape(8, n, n)  # softmax in float32 in all but GPT-2
            np.testing.assert_allclose(got[:, prompt, :n, :n], expected, rtol=0, atol=3e-6)
            assert np.isnan(got[:, prompt, n:]).all()
            assert np.isnan(got[:, prompt, :, n:]).all()


def test_some_heads_on_some_prompts(setting):
    every = attention_patterns(setting)
    some = attention_patterns(setting, ["a1.h3", "a0.h2"], prompts=[2, 0])
    assert (some.heads, some.prompts) == (("a0.h2", "a1.h3"), (2, 0))
    one = some.of("a1.h3", 2)
    np.testing.assert_allclose(one.clean, every.clean[7, 2, :8, :8], rtol=1e-12)
    np.testing.assert_allclose(one.corrupted, every.corrupted[7, 2, :8, :8], rtol=1e-12)
    assert attention_patterns(setting, "a0.h2", prompts=0).clean.shape == (1, 1, 9, 9)


def test_the_table_leaves_out_what_is_faint_on_both_prompts(setting, tmp_path):
    found = attention_patterns(setting, "a1.h0", prompts=1)
    rows = {row[2:4]: row[6:] for row in found.table().rows}
    for q, k in np.ndindex(6, 6):
        pair = (found.clean[0, 0, q, k], found.corrupted[0, 0, q, k])
        assert rows.get((q, k)) == (pair if max(pair) >= FAINT else None)
    assert found.table().rows[0][:2] == ("a1.h0", 1)
    assert found.draw(tmp_path / "patterns.svg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("heads", "prompts", "error", "message"),
    [
        (
            "a2.h0",
            None,
            SettingsError,
            r"^'a2\.h0' is out of range: .* layers are 0 to 1, and the heads of each 0 to 3",
        ),
        ("a0.h4", None, SettingsError, r"^'a0\.h4' is out of range"),
        (["m0"], None, SettingsError, r"^m0 is no head"),
        ("a0h1", None, UnknownNameError, r"did you mean a0\.h1"),
        ([], None, SettingsError, "`heads` is empty"),
        (7, None, SettingsError, "`heads` must be names of heads, like a0.h1, not 7"),
        ([(0, 1)], None, SettingsError, r"`heads` must be names of heads, like a0.h1, not \(0, 1\)"),
        (None, 3, SettingsError, "`prompts`: there is no prompt 3; they are numbered from 0 to 2"),
        (None, [-1], SettingsError, "there is no prompt -1"),
        (None, [], SettingsError, "`prompts` is empty"),
        (None, "two", SettingsError, "`prompts` must be a whole number, not 't'"),
    ],
)
def test_bad_heads_and_prompts(setting, heads, prompts, error, message):
    with pytest.raises(error, match=message):
        attention_patterns(setting, heads, prompts=prompts)
