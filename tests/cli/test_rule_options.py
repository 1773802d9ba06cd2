"""Rules of the way back as options: those that are on are turned off by ``--no-``."""

import json

import pytest
from tiny import pairs

from acdc.cli.discover import discover
from acdc.cli.printing import in_options


@pytest.fixture
def run(call, file, gpt2_folder):
    """Run ``acdc discover`` on the tiny model; gives exit code, output and errors."""
    return lambda *options: call("discover", file(*pairs(8)), "--model", gpt2_folder, "--n", 4, *options)


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (["relp"], {}),
        (["relp", "--no-norm-rule", "--attention-rule"], {"norm_rule": False, "attention_rule": True}),
        (["relp", "--norm-rule", "--no-gate-rule"], {"gate_rule": False}),
        (["gim", "--no-norm-rule", "--side", "corrupted"], {"norm_rule": False}),
        (
            ["gim", "--side", "corrupted", "--temperature", "3", "--query-scale", "1"],
            {"temperature": 3, "query_scale": 1},
        ),
    ],
)
def test_what_is_typed_is_what_is_recorded(call, run, options, chosen):
    code, _, err = run("--method", *options, "--top", 20, "--out", "out")
    assert code == 0, err
    assert f"{options[0]}: 1 forward" in err or f"{options[0]}: 2 forwards" in err
    shown = json.loads(call("show", "out", "--json")[1])
    usual = {
        "relp": {"norm_rule": True, "activation_rule": True, "gate_rule": True, "attention_rule": False},
        "gim": {"norm_rule": True, "temperature": 2, "query_scale": 0.25, "key_scale": 0.25, "value_scale": 0.5},
    }[options[0]]
    found = shown["found"]["options"]
    assert {name: found[name] for name in usual} == usual | chosen
    assert found["side"] == "corrupted"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["relp", "--temperature", "3"], "the method relp has no --temperature (that is an option of gim)"),
        (["gim", "--attention-rule"], "the method gim has no --attention-rule (that is an option of relp)"),
        (["gim"], "take --side corrupted"),
        (["gim", "--temperature", "-1"], "--temperature must be a positive number, not -1."),
        (["relp", "--side", "dirty"], "unknown side 'dirty'"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(run, options, said):
    code, _, err = run("--method", *options, "--top", 5)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


def test_messages_turn_rules_off_as_the_command_does():
    said = in_options("give `activation_rule=False` and `attention_rule=True`; `norm_rule`, `gates=False`", discover)
    assert said == "give --no-activation-rule and --attention-rule; --norm-rule, `gates=False`"
