"""``acdc patch``, as typed."""

import csv
import json

import pytest
from tiny import pairs

from acdc.runs.run import Run


@pytest.fixture
def patch(call, file, gpt2_folder):
    return lambda *options: call("patch", *options, "--task", file(*pairs(8)), "--model", gpt2_folder, "--n", 4)


def test_the_whole_input_patched_is_everything(patch, tmp_path):
    code, out, err = patch("input->logits", "--rest", "recomputed", "--csv", "p.csv", "--plot", "p.svg")
    assert code == 0, err
    assert "1 path patched on 4 prompts (noising, rest recomputed, corrupted ablation)" in " ".join(out.split())
    assert out.splitlines()[-2:] == ["p.csv", "p.svg"]
    with (tmp_path / "p.csv").open() as lines:
        rows = {row["quantity"]: row for row in csv.DictReader(lines)}
    assert float(rows["kl"]["share"]) == pytest.approx(1, abs=1e-4)
    assert (tmp_path / "p.svg").stat().st_size > 1000


def test_paths_as_json_in_both_directions(patch):
    code, out, err = patch("m0->a1.h1<v>->logits", "a0.h0->logits", "--json", "--direction", "denoising")
    assert code == 0, err
    found = json.loads(out)
    assert (found["paths"], found["rest"], found["ablation"]) == (
        ["m0->a1.h1<v>->logits", "a0.h0->logits"],
        "frozen",
        "corrupted",
    )
    assert found["n_prompts"] == len(found["values"]["patched"]["kl"]) == 4
    assert "edges_in_circuit" not in found
    kl = found["effects"]["kl"]
    assert kl["effect"] == pytest.approx(kl["patched"] - kl["unpatched"])
    assert kl["all patched"] == pytest.approx(0, abs=1e-5)


def test_a_run_gives_its_model_and_prompts_and_says_what_it_keeps(call, finished):
    run = Run.load(finished)
    kept = next(edge.name for edge in run.circuit.strongest(200) if edge.name.endswith("->logits"))
    gone = next(edge.name for edge in run.circuit.graph.edges(~run.circuit.in_graph) if edge.name.endswith("->logits"))
    code, out, err = call("patch", kept, gone, "--run", finished)
    assert code == 0, err
    assert f"  {kept}  (in the circuit)" in out
    assert f"  {gone}  (not in the circuit: {gone})" in out
    code, out, err = call("patch", kept, "--run", finished, "--json", "--split", "test")
    assert code == 0, err
    found = json.loads(out)
    assert found["edges_in_circuit"] == {kept: {kept: True}}
    assert found["n_prompts"] == 4


@pytest.mark.parametrize(
    ("paths", "options", "said"),
    [
        (["a1.h0->a0.h1<k>->logits"], [], "the nearest edges are a1.h0->m1 and input->a0.h1<k>."),
        (["a0.h7->logits"], [], "layers 0 to 1 with heads 0 to 1"),
        (["m0->logit"], [], "did you mean logits?"),
        (["m0"], ["--rest", "mlp"], "unknown rest 'mlp': did you mean mlps"),
        (["m0"], ["--direction", "up"], "unknown direction 'up'"),
        (["m0"], ["--ablation", "zero", "--direction", "denoising"], "set up with --ablation corrupted, or take"),
        (["m0"], ["--ablation", "zeros"], "unknown ablation 'zeros'"),
        (["m0"], ["--split", "both"], "--split must be train or test here"),
        (["m0"], ["--split", "tests"], "unknown split 'tests'"),
        (["m0"], ["--plot", "p.txt"], "doesn't end in .svg or .png"),
        (["m0"], ["--csv", "pairs.jsonl"], "exists already"),
        (["m0"], ["--plot", "none/p.svg"], "there is no folder none"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_sentence(refused, file, gpt2_folder, paths, options, said):
    assert said in refused("patch", *paths, "--task", file(*pairs(8)), "--model", gpt2_folder, *options)


def test_without_a_run_model_and_task_are_needed(refused, gpt2_folder, finished, tmp_path):
    assert "--task is missing; give it, or --run" in refused("patch", "m0", "--model", gpt2_folder)
    assert "--model is missing" in refused("patch", "m0", "--task", "ioi")
    assert "none" in refused("patch", "m0", "--run", "none")
    assert "another model" in refused("patch", "m0", "--run", finished, "--model", "tiny-tasks")
    assert "of a prompt file; give it by --task." in refused("patch", "m0", "--run", finished, "--answers", "right")


def test_the_input_of_a_run_s_graph_isn_t_split(refused, finished):
    said = refused("patch", "embed->logits", "--run", finished, "--split-input", "--csv", "p.csv")
    assert said.endswith("has the input as one node, and --split-input makes it two; leave that out.")


def test_a_run_with_something_frozen_is_patched_so(call, file, gpt2_folder):
    options = ["--model", gpt2_folder, "--n", 4, "--threshold", 0.002, "--freeze", "both", "--out", "frozen"]
    assert call("discover", file(*pairs(8)), *options)[0] == 0
    code, out, err = call("patch", "input->logits", "--rest", "recomputed", "--run", "frozen", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["freeze"] == ["attention", "norms"]
    assert found["effects"]["kl"]["share"] == pytest.approx(1, abs=1e-4)
    assert "frozen attention and norms" in " ".join(call("patch", "m0", "--run", "frozen")[1].split())
