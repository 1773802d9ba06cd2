"""What each command does."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import pairs, save_gpt2

from acdc.circuit import Circuit
from acdc.export import FORMATS

TEXT = {"clean": "Mary met John. John saw", "corrupted": "Mary met John. Ann saw", "answer": " Mary"}


def test_discover_writes_the_run_and_says_what_it_found(call, file, gpt2_folder, tmp_path):
    code, out, err = call(
        "discover", file(*pairs(8)), "--model", gpt2_folder, "--n", 4, "--threshold", 0.01, "--seed", 0
    )
    assert code == 0, err
    folder = tmp_path / "runs" / f"pairs-{gpt2_folder.name}-0.01-n4"
    assert {path.name for path in folder.iterdir()} == {
        *("run.json", "trace.jsonl", "circuit.json", "circuit.svg", "circuit.png")
    }
    circuit = Circuit.load(folder / "circuit.json")
    assert f"{circuit.n_edges} of 46 edges" in " ".join(out.split())
    assert [line.rpartition("/")[2] for line in out.splitlines()[-3:]] == [
        *("circuit.json", "circuit.svg", "circuit.png")
    ]
    assert "8 nodes, 46 edges (float32)" in err
    assert "4 prompt pairs" in err
    assert re.search(
        r"the model on clean prompts: [\d.]+% right, logit difference .+, likeliest token right on [\d.]+%; on", err
    )


def test_a_diagram_that_can_not_be_drawn_is_only_warned_of(call, file, gpt2_folder, monkeypatch):
    monkeypatch.setattr("acdc.export._MAX_DRAWN", 0)
    code, out, err = call("discover", file(*pairs()), "--model", gpt2_folder, "--out", "out")
    assert code == 0
    assert out.splitlines()[-1] == str(Path("out", "circuit.json"))
    assert re.fullmatch(
        r"acdc: warning: no diagram: a circuit of \d+ edges is too large to draw .*\.", err.splitlines()[-1]
    )


def test_a_model_that_does_not_do_the_task_is_warned_of(call, file, gpt2_folder):
    rows = [{"clean_tokens": [1, 2], "corrupted_tokens": [3, 2], "answer_token": 5, "wrong_answer_token": 6}]
    rows += [{**rows[0], "answer_token": 6, "wrong_answer_token": 5}]
    _, _, err = call("discover", file(*rows), "--model", gpt2_folder, "--out", "out", "--threshold", 1)
    assert "acdc: warning: the model is right on 50% of the predictions only" in err


def test_a_threshold_below_the_noise_is_warned_of(call, file, gpt2_folder):
    _, _, err = call("discover", file(*pairs()), "--model", gpt2_folder, "--out", "out", "--threshold", 1e-15)
    assert "acdc: warning: the threshold 1e-15 is below the noise floor" in err


def test_show_has_nodes_heads_edges_and_metrics(call, finished):
    code, out, _ = call("show", finished)
    circuit = Circuit.load(finished / "circuit.json")
    strongest = max(circuit.edges(), key=lambda edge: abs(circuit.scores[edge.number]))
    assert code == 0
    assert strongest.name in out
    assert f"{circuit.n_edges} of 46 edges" in " ".join(out.split())
    for label in ("model", "circuit", "every edge ablated", "on the 4 prompts used", "on 4 prompts, held out"):
        assert label in out
    live = {name for edge in circuit.edges() for name in (edge.name.partition("->")[0],) if name.startswith("a")}
    assert all(name in out for name in live)


def test_show_takes_a_circuit_file_of_any_tool(call, finished):
    code, out, _ = call("show", finished / "circuit.json")
    assert code == 0
    assert "nodes" in out


@pytest.mark.parametrize("format", FORMATS)
def test_export_writes_every_format(call, finished, tmp_path, format):
    code, out, err = call("export", finished, "--format", format, "--out", f"c{FORMATS[format]}")
    assert code == 0, err
    written = tmp_path / f"c{FORMATS[format]}"
    assert out.strip() == written.name
    assert written.stat().st_size > 100


def test_export_writes_into_the_run_folder_by_default(call, finished):
    code, out, _ = call("export", finished, "--format", "graphml")
    assert code == 0
    assert out.strip() == str(finished / "circuit.graphml")
    (finished / "circuit.graphml").unlink()


def test_export_as_json_into_the_run_folder_leaves_the_circuit_as_it_is(call, finished):
    before = (finished / "circuit.json").read_bytes()
    code, out, _ = call("export", finished, "--format", "json")
    assert (code, out.strip()) == (0, str(finished / "circuit.json"))
    assert (finished / "circuit.json").read_bytes() == before


def test_export_draws_a_file_of_its_own_in_the_run_folder_anew(call, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "circuit.dot").write_text("old")
    assert call("export", "run", "--format", "dot")[0] == 0
    assert (tmp_path / "run" / "circuit.dot").read_text() != "old"


@pytest.mark.parametrize("name", ["thesis.tex", "run/trace.jsonl", "run/run.json", "run/circuit.json", "link", "run"])
def test_export_overwrites_nothing_named_by_out(refused, finished, tmp_path, name):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "link").symlink_to("nowhere")
    for format in ("json", "dot"):
        said = refused("export", "run", "--format", format, "--out", name)
        assert said == f"{name} exists already; choose another file with --out."


def test_export_of_an_oddly_named_circuit_overwrites_no_file_of_the_run(refused, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    shutil.copy(finished / "circuit.json", tmp_path / "run" / "run.mib")
    said = refused("export", "run/run.mib", "--format", "json")
    assert said == "run/run.json exists already; choose another file with --out."


def test_tasks_lists_tasks_with_their_corruptions(call):
    code, out, _ = call("tasks")
    assert code == 0
    assert all(name in out for name in ("ioi", "acronyms", "pronouns", "logit-diff"))


def test_task_check_shows_how_a_pair_is_read(call, file, gpt2_folder):
    code, out, err = call("task", "check", file(TEXT | {"wrong_answer": " John"}), "--model", gpt2_folder)
    assert code == 0, err
    assert out.splitlines()[:5] == [
        "pairs.jsonl: 1 pair of 6 tokens, lined up token by token",
        "prompts begin without a BOS; the tokenizer has none",
        "clean:     ['Mary', ' met', ' John', '.', ' John', ' saw']",
        "corrupted: ['Mary', ' met', ' John', '.', ' Ann', ' saw']",
        "after token 5: right [' Mary'], wrong [' John']",
    ]


def test_task_check_under_a_tokenizer_alone(call, file, gpt2_folder):
    code, out, _ = call("task", "check", file(TEXT), "--tokenizer", gpt2_folder)
    assert code == 0
    assert "wrong not given" in out


def test_task_check_of_a_model_under_another_tokenizer(call, file, gpt2_folder, tmp_path):
    bare = save_gpt2(tmp_path / "bare")
    code, out, err = call("task", "check", file(TEXT), "--model", bare, "--tokenizer", gpt2_folder)
    assert code == 0, err
    assert "right [' Mary']" in out


def test_task_check_of_token_ids_needs_no_model(call, file):
    longer = {"clean_tokens": [1] * 9, "corrupted_tokens": [2] * 9}
    code, out, _ = call("task", "check", file(*pairs(3, length=5), longer))
    assert code == 0
    assert "4 pairs of 5 to 9 tokens, equal length, not judged word by word" in out


def test_task_check_refuses_what_discover_refuses(refused, file, gpt2_folder, tmp_path):
    said = refused("task", "check", file(TEXT | {"corrupted": "Mary met."}), "--model", gpt2_folder)
    assert "the prompts differ in length" in said
    said = refused("task", "check", file(TEXT))
    assert said == (
        "pairs.jsonl, line 1: the clean prompt is text; give --model or --tokenizer, under which to check it."
    )
    assert refused("task", "check", "ioi").startswith("task ioi is text; give --model or --tokenizer, under")
    mixed = file({"clean_tokens": [1], "corrupted_tokens": [2], "answer": "x"})
    assert refused("task", "check", mixed).startswith("pairs.jsonl, line 1: answer 'x' is text; give --model or")
    bare = save_gpt2(tmp_path / "bare")
    assert refused("task", "check", file(TEXT), "--model", bare).endswith("give --tokenizer, under which to check it.")
    assert "no tokenizer can be loaded" in refused("task", "check", file(TEXT), "--tokenizer", "nobody/nothing")


def test_models_lists_the_bundled_ones(call):
    code, out, _ = call("models")
    assert code == 0
    assert "tiny-tasks" in out


def test_model_check_gives_the_numbers(call, gpt2_folder):
    code, out, _ = call("model", "check", gpt2_folder)
    assert code == 0
    assert "8 nodes, 46 edges" in out
    assert re.search(r"self-check passed: nodes differ from the model's own logits by [\d.e-]+ ", out)


def test_what_needs_no_model_starts_without_torch(finished):
    script = """
import sys
from acdc.cli.main import main

folder = sys.argv[1]
for args in (["--help"], ["discover", "--help"], ["models"], ["show", folder], ["export", folder, "--format", "json"]):
    sys.argv[1:] = args
    try:
        main()
    except SystemExit as ended:
        assert ended.code == 0, args
heavy = {"torch", "transformer_lens", "transformers"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script, finished], check=True, timeout=60, stdout=subprocess.DEVNULL)
