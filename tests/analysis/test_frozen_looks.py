"""Looks at a setting in which something is frozen: right, or refused; never of another prompt's patterns."""

import pytest
from hooked import answered, model_of

import acdc
from acdc.analysis import activation_patching, head_attribution, logit_lens, token_attribution
from acdc.engine.setting import prepare
from acdc.errors import SettingsError


@pytest.fixture(scope="module")
def model():
    return acdc.load_model(model_of("gpt2"))


@pytest.mark.parametrize("freeze", [("attention",), ("norms",), ("attention", "norms")])
def test_on_the_clean_prompts_they_are_those_of_the_model(model, freeze):
    frozen, plain = prepare(model, answered(), freeze=freeze), prepare(model, answered())
    heads = ["a0.h1", "a1.h2"]
    for look in (lambda on: head_attribution(on, heads=heads), logit_lens):
        assert look(frozen) == look(plain)
    moved = [acdc.transplant(each, "a0.h1", (1, 2, 3), (3, 4, 5)) for each in (frozen, plain)]
    assert moved[0] == moved[1]


@pytest.mark.parametrize("look", [activation_patching, token_attribution])
def test_those_that_run_prompts_in_parts_refuse(model, look):
    with pytest.raises(SettingsError, match=r"^\w+ \w+ runs .* \(attention and norms\) .*; set up without `freeze`\.$"):
        look(prepare(model, answered(), freeze=("attention", "norms")))
