"""Looking at heads: what is measured is what the model does, and the bundled model's heads are told apart."""

from dataclasses import fields

import pytest
import torch
from name_movers import PARTS, Head, look, places, report
from transformers import AutoModelForCausalLM

import acdc
from acdc.bundled import bundled_models


@pytest.fixture(scope="module")
def setting():
    return acdc.set_up("tiny-tasks", "ioi", n=6, metric="logit-diff")


@pytest.fixture(scope="module")
def heads(setting):
    return {head.name: head for head in look(setting)}


def test_heads_look_where_transformers_says_that_they_do(setting, heads):
    own = AutoModelForCausalLM.from_pretrained(bundled_models()["tiny-tasks"], attn_implementation="eager").eval()
    io, s1, s2, end = places(setting)
    for name, layer, number in (("a2.h4", 2, 4), ("a0.h1", 0, 1)):
        looks = []
        for i, pair in enumerate(setting.prompts.pairs):
            with torch.no_grad():
                pattern = own(torch.tensor([pair.clean]), output_attentions=True).attentions[layer][0, number]
            before = pattern.diagonal(-1).mean()
            looks.append([pattern[end[i], io[i]], pattern[end[i], s2[i]], pattern[s2[i], s1[i]], before])
        mean = torch.tensor(looks).mean(0).tolist()
        found = heads[name]
        assert [found.to_io, found.to_s2, found.s2_to_s1] == pytest.approx(mean[:3], abs=1e-4)
        lengths = {len(pair.clean) for pair in setting.prompts.pairs}
        assert len(lengths) > 1 or found.previous == pytest.approx(mean[3], abs=1e-4)


def test_the_direct_effects_are_of_the_layers_that_are_used(heads):
    strongest = max(heads.values(), key=lambda head: head.direct)
    assert strongest.name.startswith(("a0", "a1"))  # the upper two are hardly used, see the picture of its circuit
    assert strongest.direct > 0.05


def test_a_table_names_the_parts(setting, heads):
    lines = list(report(setting, list(heads.values()), None))
    assert any(line.startswith("| a1.h6 | S-inhibition |") for line in lines)
    assert any(line.startswith("| name mover |") and "| 3 | 75% to 83% |" in line for line in lines)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("name mover", {"to_io": 0.6, "direct": 0.1, "copies": 0.9}),
        ("negative name mover", {"to_io": 0.6, "direct": -0.1, "copies_not": 0.9}),
        ("subject suppressor", {"to_s2": 0.6, "direct": 0.1, "copies_not": 0.9}),
        ("S-inhibition", {"to_s2": 0.6}),
        ("duplicate token", {"s2_to_s1": 0.6}),
        ("induction", {"s2_to_next": 0.6}),
        ("previous token", {"previous": 0.6}),
        (None, {}),
    ],
)
def test_a_head_gets_the_part_that_it_plays(part, values):
    nothing = {one.name: 0.0 for one in fields(Head) if one.name != "name"}
    assert Head("a0.h0", **(nothing | values)).part == part
    assert part is None or part in PARTS
