"""One activation moved between prompts and positions, held against hooks of torch on the Hugging Face model."""

from functools import cache

import numpy as np
import pytest
import tiny
import torch
from families import random_model
from replaced import FAMILIES, WITH_HEADS, WITH_SLOTS, place, run

import acdc
from acdc.engine.setting import prepare
from acdc.errors import PromptError, SettingsError, UnknownNameError
from acdc.pairs import PromptSet, TokenPair

SOURCE, TARGET = (4, 9, 33, 21, 7, 2), (8, 3, 41, 12)


@cache
def opened(family):
    theirs = random_model(family, torch.float64)
    return theirs, acdc.load_model(theirs)


NAMES = {
    "residual0": ("residual", 0, None),
    "input": ("residual", 0, None),
    "residual1": ("residual", 1, None),
    "residual2": ("residual", 2, None),
    "attention0": ("attention", 0, None),
    "m0": ("mlps", 0, None),
    "m1": ("mlps", 1, None),
}
HEADS = {"a0.h3": ("heads", 0, 3), "a1.h0": ("heads", 1, 0)}
SLOTS = {f"a1.h2<{letter}>": (letter, 1, 2) for letter in "qkv"}


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_a_hook_on_the_model(family):
    theirs, model = opened(family)
    names = NAMES | (HEADS if family in WITH_HEADS else {}) | (SLOTS if family in WITH_SLOTS else {})
    for name, where in names.items():
        at = place(theirs, family, *where)
        (own, value), (before, _) = run(theirs, SOURCE, at), run(theirs, TARGET)
        for taken, put, read in ((4, 1, -1), (-1, -2, 2)):
            found = acdc.transplant(
                model, name, SOURCE, TARGET, source_position=taken, target_position=put, position=read
            )
            after, _ = run(theirs, TARGET, at, put, value[taken])
            assert np.abs(found.before - before[read].numpy()).max() < 1e-6
            assert np.abs(found.after - after[read].numpy()).max() < 1e-6, (name, taken, put)
            assert np.abs(found.source_logits - own[-1].numpy()).max() < 1e-6
            if put % len(TARGET) == read % len(TARGET):
                assert np.abs(found.after - found.before).max() > 1e-4


def test_an_activation_in_its_own_place_changes_nothing():
    _, model = opened("gemma2")
    for name in ("a0.h1", "a1.h3<k>", "a1.h0<v>", "m1", "residual1"):
        found = acdc.transplant(model, name, TARGET, TARGET, source_position=2, target_position=2)
        assert np.abs(found.after - found.before).max() < 1e-10


def test_text_is_read_as_the_model_reads_it(tmp_path):
    folder = tiny.save_gpt2(tmp_path / "model", with_tokenizer=True)
    model = acdc.load_model(folder)
    found = acdc.transplant(model, "residual0", "Ann met John", "Mary met Ann", source_position=0, target_position=0)
    assert found.source[1] == found.target[1] == tiny.WORDS.index(" met") + 1
    same = acdc.transplant(model, "residual0", found.source, found.target, source_position=0, target_position=0)
    swapped = acdc.transplant(model, "m0", "Ann met Ann", "Ann met Ann")
    assert np.array_equal(found.after, same.after)
    assert np.allclose(found.after, swapped.before, atol=1e-5)  # the whole first token was replaced
    table = found.table()
    assert table.rows[0][1] == int(found.after.argmax())
    texts = {row[1]: row[0] for row in table.rows}
    assert [texts[i] for i in texts if 0 < i <= len(tiny.WORDS)] == [tiny.WORDS[i - 1] for i in texts if 0 < i <= 10]
    assert sum(row[3] for row in table.rows) <= 1
    assert found.draw(tmp_path / "bars.png").stat().st_size > 2000
    assert len(found.write_table(tmp_path / "rows.csv").read_text().splitlines()) == len(table.rows) + 1


def test_a_setting_stands_for_its_model():
    _, model = opened("gpt2")
    setting = prepare(model, PromptSet((TokenPair(TARGET, (8, 3, 40, 12), (3,)),), "made up"))
    pair = setting.prompts.pairs[0]
    found = acdc.transplant(setting, "residual0", pair.corrupted, pair.clean, source_position=2, target_position=2)
    assert np.allclose(found.after, setting.corrupted_logits[0])


@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        ("a0.h9", {}, SettingsError, "layer 0 has the heads a0.h0 to a0.h3"),
        ("a7.h0<q>", {}, SettingsError, "a0 to a1"),
        ("residual3", {}, SettingsError, "residual0 to residual2"),
        ("m2", {}, SettingsError, "m0 to m1"),
        ("resid1", {}, UnknownNameError, "did you mean residual1"),
        ("a0.h1<w>", {}, UnknownNameError, "a0.h1<"),
        ("m0<q>", {}, UnknownNameError, "unknown activation"),
        ("a0", {}, UnknownNameError, "unknown activation"),
        ("logits", {}, UnknownNameError, "unknown activation"),
        (3, {}, SettingsError, "must be a name"),
        ("m0", {"source_position": 6}, SettingsError, "`source_position` is 6, and the prompt has 6 tokens"),
        ("m0", {"target_position": -5}, SettingsError, "`target_position` is -5, and the prompt has 4 tokens"),
        ("m0", {"position": 1.5}, SettingsError, "whole number"),
        ("m0", {"position": 1}, SettingsError, "position 1, where the prediction is read, doesn't see position 3"),
        ("m0", {"source": "text"}, PromptError, "the source prompt"),
        ("m0", {"target": (1, 99)}, PromptError, "the target prompt"),
        ("m0", {"target": ()}, PromptError, "the target prompt"),
    ],
)
def test_bad_arguments_are_a_sentence(name, options, error, said):
    _, model = opened("llama")
    given = {"source": SOURCE, "target": TARGET} | options
    with pytest.raises(error, match=said):
        acdc.transplant(model, name, given.pop("source"), given.pop("target"), **given)


def test_a_model_without_mlps_says_so(tmp_path):
    model = acdc.load_model(tiny.save_toy(tmp_path / "toy"))
    with pytest.raises(SettingsError, match="has no MLPs"):
        acdc.transplant(model, "m0", (1, 2), (3, 4))
    found = acdc.transplant(model, "attention1", (1, 2), (3, 4))
    assert np.abs(found.after - found.before).max() > 1e-3
