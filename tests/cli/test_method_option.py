"""``--method``, its options and selections, as typed."""

import json

import pytest
from tiny import pairs

from acdc.methods import METHODS, EapIg
from acdc.runs.run import Run


@pytest.fixture
def run(call, file, gpt2_folder):
    """Run ``acdc discover`` on the tiny model; gives exit code, output and errors."""
    return lambda *options: call("discover", file(*pairs(8)), "--model", gpt2_folder, "--n", 4, *options)


def test_edges_are_scored_and_selected(run, call, tmp_path):
    code, out, err = run("--method", "eap-ig", "--steps", 3, "--top", 20, "--by", "value", "--out", "out")
    assert code == 0, err
    assert "eap-ig steps 3 top 20 by value in kl" in " ".join(out.split())
    assert "noise floor" not in err
    found = Run.load(tmp_path / "out").circuit.found
    assert (found.method, found.options, found.selection) == (
        "eap-ig",
        {"steps": 3},
        {"top": 20, "by": "value"},
    )
    assert (tmp_path / "out" / "circuit.svg").exists()
    shown = json.loads(call("show", "out", "--json")[1])
    assert shown["found"]["method"] == "eap-ig"
    assert shown["record"]["cost"] == {"forwards": 3, "backwards": 3}
    assert call("show", "out")[0] == 0


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--method", "eap-ig", "--top", 20], "eap-ig-top20-n4"),
        (
            ["--method", "eap-ig", "--steps", 3, "--above", "0.001", "--by", "value"],
            "eap-ig-steps3-above0.001-value-n4",
        ),
        (["--method", "eap-ig", "--greedy", 9], "eap-ig-greedy9-n4"),
        (["--threshold", 1], "1-n4"),
        (["--method", "acdc", "--threshold", 1, "--order", "default"], "1-n4"),
    ],
)
def test_a_folder_that_nobody_named_says_how(run, tmp_path, gpt2_folder, options, name):
    code, _, err = run(*options)
    assert code == 0, err
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [f"pairs-{gpt2_folder.name}-{name}"]
    code, _, err = run(*options)  # the same again is known
    assert code == 2
    assert "holds a run of these settings, finished" in err
    assert len(list((tmp_path / "runs").iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--method", "eapig", "--top", 5], "unknown method 'eapig': did you mean eap-ig or eap?"),
        (["--method", "eap-ig"], "leaves open which of them are the circuit; give --top, --above or --greedy."),
        (["--method", "eap-ig", "--top", 5, "--threshold", 0.1], "the method eap-ig has no --threshold (that is an"),
        (["--method", "eap-ig", "--top", 5, "--gates"], "the method eap-ig has no --gates"),
        (["--steps", 5], "the method acdc has no --steps (that is an option of"),
        (
            ["--top", 5],
            "--top chooses edges by their scores, and the method acdc decides by itself",
        ),
        (["--method", "eap-ig", "--by", "value"], "--by says what --top, --above and --greedy rank by"),
        (["--method", "eap-ig", "--top", 5, "--above", 1], "--top and --above contradict each other"),
        (["--method", "eap-ig", "--top", 5, "--greedy", 5], "--top and --greedy contradict each other"),
        (["--method", "eap-ig", "--top", 0], "at least 1"),
        (["--method", "eap-ig", "--top", -3], "at least 1"),
        (["--method", "eap-ig", "--greedy", 0], "at least 1"),
        (["--method", "eap-ig", "--above", "nan"], "must be a finite number"),
        (["--method", "eap-ig", "--above", "-1"], "no score's magnitude is below 0"),
        (["--method", "eap-ig", "--top", 10**6], "a selection of 1,000,000 edges is more than the"),
        (["--method", "eap-ig", "--top", 5, "--by", "size"], "unknown ranking 'size'"),
        (["--method", "eap-ig", "--top", 5, "--steps", 0], "--steps must be from 1 to 1000, not 0."),
        (["--method", "eap-ig", "--top", 5, "--steps", 10**9], "--steps must be from 1 to 1000"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(run, tmp_path, options, said):
    code, out, err = run(*options)
    assert code == 2
    assert out == ""
    assert said in err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("options", [["--steps", "1.5"], ["--steps", "many"], ["--above", "x"], ["--top", "all"]])
def test_what_is_no_number_is_the_command_line_s(run, options):
    code, _, err = run("--method", "eap-ig", *options)
    assert code == 2
    assert "is not a valid" in err


def test_it_goes_on_by_its_folder_alone(run, call, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    options = ["--method", "eap-ig", "--steps", 3, "--greedy", 20, "--by", "value", "--seed", 2]
    with monkeypatch.context() as patched:
        patched.setattr(EapIg, "find", interrupted)
        code, _, err = run(*options, "--out", "out")
    assert code == 130
    assert "interrupted; nothing could be kept yet in out, where it begins anew. Go on with: acdc resume out" in err
    code, _, err = call("resume", "out")
    assert code == 0, err
    assert "it begins anew" in err
    assert run(*options, "--out", "whole")[0] == 0
    one, other = Run.load(tmp_path / "out"), Run.load(tmp_path / "whole")
    assert one.record.request == other.record.request
    assert (one.circuit.scores == other.circuit.scores).all()
    code, _, err = call("resume", "out")
    assert code == 0
    assert "the run in out is finished already" in err


def test_help_tells_every_option_of_every_method(call):
    out = " ".join(call("discover", "--help")[1].split())
    assert "acdc, hybrid: largest rise of the metric for an edge. [default: 0.01]" in out
    for name in METHODS:
        assert name in out.replace("- ", "-")  # a line may break behind a hyphen
    assert "sp, edge-pruning, ugs: steps of training. [default: 500]" in out


def test_a_run_of_attribution_says_how_far_its_identity_is_off(run, call):
    assert run("--method", "conductance", "--steps", 20, "--top", 20, "--out", "out")[0] == 0
    out = " ".join(call("show", "out")[1].split())
    assert (
        "conservation: the scores of the edges across any cut must add up to the change of the metric; off by " in out
    )
    told = json.loads(call("show", "out", "--json")[1])["record"]["conservation"]
    assert list(told["parts"]) == ["input", "a0", "m0", "a1", "m1"]
    assert f"off by {told['residual']:.2g} of the metric's change at most, at {told['at']}" in out
    assert run("--method", "ifr", "--top", 20, "--out", "flow")[0] == 0
    assert "of the metric's change" not in " ".join(call("show", "flow")[1].split()).partition("conservation")[2][:120]


def test_a_metric_that_a_method_cannot_take_is_refused_by_its_option(run):
    code, _, err = run("--method", "eap", "--top", 20)
    assert code == 2
    assert "the gradient of the metric at the clean run, where that of kl is 0" in err
    assert "take --side corrupted, the method eap-ig" in err


def test_gradients_out_of_bounds_are_said_where_they_arise(run):
    scaled = ("--method", "gim", "--side", "corrupted", "--value-scale", 1e308, "--top", 5)
    code, _, err = run(*scaled, "--out", "out")
    assert code == 2
    said = err.splitlines()[-1]
    assert "the gradient of kl at a" in said
    assert said.endswith("nearer to their defaults.")
    assert "--dtype float64" in said
    assert "warning: gim" not in err
