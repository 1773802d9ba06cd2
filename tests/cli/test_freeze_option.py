"""``--freeze`` of ``acdc discover`` and ``acdc evaluate``."""

import json

import pytest
from tiny import pairs


@pytest.fixture
def begun(file, gpt2_folder):
    return ["discover", file(*pairs(8)), "--model", gpt2_folder, "--n", 4, "--threshold", 0.002, "--out", "run"]


def test_a_run_says_what_is_frozen_and_is_evaluated_so(call, begun):
    code, _, err = call(*begun, "--freeze", "norms,attention")
    assert code == 0, err
    assert "the fast engine doesn't run this model with frozen attention and norms; the reference engine does" in err
    assert "corrupted ablation, frozen attention,norms" in " ".join(call("show", "run")[1].split())
    assert "corrupted ablation, frozen attention and norms" in " ".join(call("evaluate", "run")[1].split())
    found, thawed = (json.loads(call("evaluate", "run", "--json", *more)[1]) for more in ([], ["--freeze", "none"]))
    used, other = found["judgements"][0], thawed["judgements"][0]
    assert (used["freeze"], other["freeze"]) == (["attention", "norms"], [])
    assert used["figures"]["model"] == other["figures"]["model"]
    assert used["figures"]["ablated"] != other["figures"]["ablated"]


def test_an_interrupted_run_goes_on_with_what_is_frozen(call, interrupted, begun, tmp_path):
    interrupted(*begun, "--freeze", "norms")
    code, _, err = call("resume", "run")
    assert code == 0, err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["request"]["freeze"] == "norms"
    assert call("evaluate", "run")[0] == 0


def test_what_makes_no_sense_is_said_in_one_sentence(refused, begun):
    assert "unknown part to freeze 'norm': did you mean norms" in refused(*begun, "--freeze", "norm")
    for wrong in ("both,norms", "attention, none"):
        assert "takes" in (said := refused(*begun, "--freeze", wrong))
        assert said.endswith("alone, with no other name beside it.")
    assert "give fewer by --n, or a larger --batch-size" in refused(*begun, "--freeze", "both", "--batch-size", 2)
