"""The command line: what each command does, and what is said of bad input."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import VOCAB, gpt2, pairs, save_gpt2, save_toy, write_pairs

import acdc.discovery
from acdc.circuit import Circuit
from acdc.cli.main import main
from acdc.engine.selfcheck import probe_prompts
from acdc.export import FORMATS
from acdc.runs.run import Run
from acdc.runs.trace import TraceWriter

# The command prints our warnings; in tests of Python code they are errors.
pytestmark = pytest.mark.filterwarnings("default::acdc.AcdcWarning")

TEXT = {"clean": "Mary met John. John saw", "corrupted": "Mary met John. Ann saw", "answer": " Mary"}


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run the command in an empty folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["acdc", *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def refused(call, tmp_path):
    """Run a command that must fail: gives its one sentence, and checks that it left nothing behind."""

    def refused(*args):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        folders = {path for path in tmp_path.rglob("*") if path.is_dir()}
        code, _, err = call(*args)
        lines = [line for line in err.splitlines() if line]
        assert code == 2, err
        assert "Traceback" not in err
        assert lines[-1].startswith("acdc: ")
        assert [line for line in lines if line.startswith("acdc: ") and "warning: " not in line] == lines[-1:]
        assert lines[-1].endswith((".", "?", "?)")), lines[-1]
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
        assert {path for path in tmp_path.rglob("*") if path.is_dir()} == folders
        return lines[-1].removeprefix("acdc: ")

    return refused


@pytest.fixture
def file(tmp_path):
    """A prompt file in the working directory, of some lines; a dict becomes JSON."""

    def file(*lines, name="pairs.jsonl"):
        text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (tmp_path / name).write_text("\n".join(text) + "\n")
        return name

    return file


@pytest.fixture
def discover(refused, gpt2_folder, tmp_path):
    """``acdc discover`` on the tiny GPT-2, where it must fail."""

    def discover(task, *options, model=gpt2_folder):
        return refused("discover", task, "--model", model, "--out", "out", *options)

    return discover


@pytest.fixture(scope="module")
def finished(gpt2_folder, tmp_path_factory):
    """A finished run's folder, which no test changes."""
    folder = tmp_path_factory.mktemp("finished")
    task = write_pairs(folder / "pairs.jsonl", pairs(8))
    acdc.discovery.discover(gpt2_folder, task, n=4, threshold=0.01, out=folder / "run", progress=False)
    return folder / "run"


# Bad input: names.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--metric", "k1"], ["unknown metric 'k1'", "did you mean kl?"]),
        (["--metric", "KL"], ["unknown metric 'KL'", "did you mean kl"]),
        (["--metric", "zzz"], ["unknown metric 'zzz'", "known: answer-logprob, kl, l2, logit-diff, prob-diff."]),
        (["--order", "defualt"], ["unknown order 'defualt'", "did you mean default?"]),
        (["--ablation", "means"], ["unknown ablation 'means'", "did you mean mean?"]),
        (["--dtype", "float23"], ["unknown dtype 'float23'", "float32"]),
        (["--corruption", "fil"], ["unknown corruption 'fil'", "did you mean file?"]),
        (["--device", "warp"], ["device 'warp' can't be used"]),
        (["--device", "meta"], ["device 'meta' can't be used"]),
        (["--threshold", "high"], ["--threshold", "'high'"]),
        (["--thresold", "1"], ["--thresold", "--threshold"]),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(discover, file, options, words):
    said = discover(file(*pairs()), *options)
    assert all(word in said for word in words), said


def test_an_unknown_task_is_refused_with_the_nearest(discover):
    assert discover("ioii") == "unknown task 'ioii': did you mean ioi?"


def test_a_task_file_that_does_not_exist_is_refused(discover):
    assert discover("pears.jsonl") == "pears.jsonl doesn't exist; check the path."


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gtp2", "unknown model 'gtp2': did you mean gpt2"),
        ("tiny-task", "did you mean tiny-tasks"),
        ("", "the model's name is empty; give a bundled name, a hub name or a folder."),
        ("./nowhere", "./nowhere: there is no such folder."),
        ("nobody/nothing", "nobody/nothing can't be loaded"),
        ("m" * 300, "unknown model 'mmm"),
    ],
)
def test_an_unknown_model_is_refused_with_the_nearest(discover, file, model, words):
    assert words in discover(file(*pairs()), model=model)


def test_an_unknown_format_is_refused_with_the_nearest(refused, finished):
    assert refused("export", finished, "--format", "swg") == "unknown format 'swg': did you mean svg?"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["discver"], "unknown command 'discver': did you mean discover?"),
        (["Show"], "unknown command 'Show': did you mean show?"),
        (["zzz"], "unknown command 'zzz': known: discover, export, model, models, show, task, tasks."),
        (["task", "chekc"], "unknown command 'chekc': did you mean check?"),
    ],
)
def test_an_unknown_command_is_refused_with_the_nearest(refused, words, said):
    assert refused(*words) == said


@pytest.mark.parametrize("words", [[], ["task"], ["model"]])
def test_no_command_gives_plain_help(call, words):
    code, out, err = call(*words)
    assert code == 2
    assert out.startswith("Usage: ")
    assert "Commands:" in out
    assert err == ""


def test_a_line_break_in_a_name_leaves_the_error_one_line(call, gpt2_folder):
    code, _, err = call("discover", "pe\na\x1brs.jsonl", "--model", gpt2_folder)
    assert (code, err) == (2, "acdc: pe\\na\\x1brs.jsonl doesn't exist; check the path.\n")


def test_the_way_warnings_are_shown_is_put_back(call):
    before = warnings.showwarning
    call("models")
    assert warnings.showwarning is before


def test_a_forgotten_model_is_asked_for(refused):
    assert "--model" in refused("discover", "ioi")


# Bad input: prompt files.


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{clean: no}", "pairs.jsonl, line 2, column 2: this is not JSON:"),
        ('["clean", "corrupted"]', "pairs.jsonl, line 2: a line must be an object"),
        ({"clean": "Mary met"}, "pairs.jsonl, line 2: the field 'corrupted' (or 'corrupted_tokens') is missing."),
        (TEXT | {"clean": ""}, "pairs.jsonl, line 2: the clean prompt is empty."),
        ({"clean_tokens": [], "corrupted_tokens": [1]}, "pairs.jsonl, line 2: the clean prompt is empty."),
        (
            TEXT | {"corrupted": "Mary met."},
            "pairs.jsonl, line 2: the prompts differ in length: clean has 6 tokens "
            "['Mary', ' met', ' John', '.', ' John', ' saw'], corrupted has 3 ['Mary', ' met', '.']; "
            "make them line up token by token.",
        ),
        (
            TEXT | {"answer": " Mary Ann"},
            "pairs.jsonl, line 2: answer ' Mary Ann' is 2 tokens [' Mary', ' Ann']; an answer is one token.",
        ),
        (
            {"clean_tokens": [1, VOCAB], "corrupted_tokens": [1, 2]},
            f"pairs.jsonl, line 2: token id {VOCAB} is outside the vocabulary (0 to {VOCAB - 1}).",
        ),
        (
            {"clean_tokens": [1, 2], "corrupted_tokens": [1, -1]},
            f"pairs.jsonl, line 2: token id -1 is outside the vocabulary (0 to {VOCAB - 1}).",
        ),
        (
            {"clean_tokens": [1, 2], "corrupted_tokens": [1, 3], "answer_token": VOCAB},
            f"pairs.jsonl, line 2: answer token id {VOCAB} is outside the vocabulary (0 to {VOCAB - 1}).",
        ),
        (
            TEXT | {"answer_position": 6},
            "pairs.jsonl, line 2: answer position 6 is outside the prompt, which has tokens 0 to 5.",
        ),
        (
            {"clean_tokens": [1] * 17, "corrupted_tokens": [2] * 17},
            "pairs.jsonl, line 2: 17 tokens are more than the model's context of 16; shorten the prompt.",
        ),
    ],
)
def test_a_bad_line_is_named(discover, file, line, said):
    assert said in discover(file(TEXT, line))


@pytest.mark.parametrize("lines", [[], ["", "  "]])
def test_an_empty_file_is_refused(discover, file, lines):
    assert discover(file(*lines)) == "pairs.jsonl has no prompt pairs; write one a line."


def test_pairs_that_are_all_uncorrupted_are_refused(discover, file):
    same = {"clean_tokens": [1, 2], "corrupted_tokens": [1, 2]}
    assert "clean and corrupted prompts are equal in all 2 pairs" in discover(file(same, same))


def test_more_pairs_than_the_file_has_are_refused(discover, file):
    assert "has 4 prompt pairs, not 5" in discover(file(*pairs(4)), "--n", 5)


def test_fewer_than_one_pair_is_refused(discover, file):
    assert discover(file(*pairs()), "--n", 0) == "n must be at least 1, got 0."


def test_text_without_a_tokenizer_is_refused(discover, file, tmp_path):
    said = discover(file(TEXT), model=save_gpt2(tmp_path / "bare"))
    assert "this model has no tokenizer; give token ids" in said


def test_a_metric_whose_answers_are_missing_is_refused(discover, file):
    said = discover(file({"clean_tokens": [1, 2], "corrupted_tokens": [1, 3]}), "--metric", "logit-diff")
    assert (
        "the metric logit-diff needs right and wrong answers for every prompt pair; add them, or use kl or l2" in said
    )


# Bad input: numbers.


@pytest.mark.parametrize("threshold", ["-0.1", "nan", "inf"])
def test_a_threshold_that_is_negative_or_no_number_is_refused(discover, file, threshold):
    said = discover(file(*pairs()), f"--threshold={threshold}")
    assert said == f"the threshold must be a number of at least 0, got {float(threshold)}."


def test_split_input_without_position_embeddings_is_refused(discover, file, tmp_path):
    from families import random_model

    random_model("llama").save_pretrained(tmp_path / "llama")
    assert "leave out --split-input" in discover(file(*pairs()), "--split-input", model=tmp_path / "llama")


# Bad input: weights.


def damaged(folder, change):
    """The folder, its weights changed."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_hugging_face_folder_that_lacks_files_is_refused(discover, file, tmp_path):
    task = file(*pairs())
    (tmp_path / "empty").mkdir()
    assert discover(task, model="empty") == "empty is not a model: it has no config.json."
    folder = save_gpt2(tmp_path / "half")
    (folder / "model.safetensors").unlink()
    assert discover(task, model="half") == "half is not a whole model: it has no .safetensors weights."


@pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "unheard-of"}'])
def test_a_config_that_is_no_model_s_is_refused(discover, file, tmp_path, text):
    folder = save_gpt2(tmp_path / "odd")
    (folder / "config.json").write_text(text)
    assert "odd" in discover(file(*pairs()), model="odd")


def test_hugging_face_weights_that_do_not_fit_are_refused(discover, file, tmp_path):
    task = file(*pairs())
    damaged(save_gpt2(tmp_path / "lacking"), lambda weights: weights.pop("transformer.h.1.mlp.c_fc.weight"))
    said = discover(task, model="lacking")
    assert said == "lacking: the weights lack transformer.h.1.mlp.c_fc.weight (1 in all); check the files."
    damaged(
        save_gpt2(tmp_path / "misshapen"), lambda weights: weights.update({"transformer.ln_f.weight": torch.ones(3)})
    )
    assert "transformer.ln_f.weight" in discover(task, model="misshapen")


def test_weights_that_are_torn_are_refused(discover, file, tmp_path):
    task = file(*pairs())
    for folder in (save_gpt2(tmp_path / "hf"), save_toy(tmp_path / "toy")):
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        assert folder.name in discover(task, model=folder.name)


def test_named_weights_that_lack_files_are_refused(discover, file, tmp_path):
    folder = save_toy(tmp_path / "toy")
    (folder / "model.safetensors").unlink()
    assert discover(file(*pairs()), model="toy") == "toy is not a whole model: it has no model.safetensors."


def test_named_weights_that_do_not_fit_are_refused(discover, file, tmp_path):
    task = file(*pairs())
    damaged(save_toy(tmp_path / "lacking"), lambda weights: weights.pop("blocks.1.attn.W_O"))
    said = discover(task, model="lacking")
    assert "lacking" in said
    assert "blocks.1.attn" in said
    damaged(save_toy(tmp_path / "misshapen"), lambda weights: weights.update({"embed.W_E": torch.ones(3, 16)}))
    said = discover(task, model="misshapen")
    assert "embed" in said
    assert "shape [3, 16], but model_config needs [20, 16]" in said
    damaged(save_toy(tmp_path / "unknown"), lambda weights: weights.update({"blocks.7.attn.W_Q": torch.ones(2, 16, 8)}))
    assert "blocks.7.attn" in discover(task, model="unknown")


@pytest.mark.parametrize("cfg", [None, [], {}, {"n_layers": "two"}, {"n_layers": 1, "d_model": 4, "warp": 9}])
def test_a_model_config_that_can_not_be_used_is_refused(discover, file, tmp_path, cfg):
    folder = save_toy(tmp_path / "toy")
    (folder / "config.json").write_text(json.dumps({"model_config": cfg}))
    assert "toy" in discover(file(*pairs()), model="toy")


# Bad input: numerics, memory, folders.


def sick_model(folder, value):
    """A model that one token makes ill, which the self-check doesn't meet; gives it and three harmless ones."""
    probed = {token for pair in probe_prompts(VOCAB, 16) for prompt in pair for token in prompt}
    sick = next(token for token in range(VOCAB) if token not in probed)
    model = gpt2(tie_word_embeddings=False)
    with torch.no_grad():
        model.transformer.wte.weight[sick] = value
    model.save_pretrained(folder)
    return sick, sorted(probed)[:3]


@pytest.mark.parametrize(("which", "value"), [("clean", float("nan")), ("corrupted", float("inf"))])
def test_a_prompt_whose_logits_are_no_numbers_is_named(discover, file, tmp_path, which, value):
    sick, (a, b, c) = sick_model(tmp_path / "model", value)
    rows = [{"clean_tokens": [a, b, c], "corrupted_tokens": [c, b, a]} for _ in range(3)]
    rows[1] |= {f"{which}_tokens": [a, sick, b]}
    said = discover(file(*rows), model="model")
    assert f"pairs.jsonl, line 2: the model's logits on the {which} prompt are NaN or infinite" in said


def test_a_held_out_prompt_whose_logits_are_no_numbers_does_not_cost_the_run(call, file, tmp_path):
    sick, (a, b, c) = sick_model(tmp_path / "model", float("nan"))
    rows = [{"clean_tokens": [a, b, c], "corrupted_tokens": [c, b, a]} for _ in range(4)]
    rows[3] |= {"clean_tokens": [a, sick, b]}
    code, out, err = call("discover", file(*rows), "--n", 2, "--model", "model", "--out", "out")
    assert code == 0, err
    assert "no result on held-out prompts: pairs.jsonl, line 4: the model's logits on the clean prompt are NaN" in err
    assert "held-out" not in out
    assert Run.load(tmp_path / "out").record["results"]["held_out"] is None


@pytest.mark.parametrize(
    "run_out",
    [
        lambda: (_ for _ in ()).throw(MemoryError),
        lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory.")),
        lambda: torch.empty(1 << 60),
        lambda: (_ for _ in ()).throw(RuntimeError("DefaultCPUAllocator: not enough memory: you tried to ...")),
    ],
    ids=["python", "gpu", "cpu", "cpu on Windows"],
)
@pytest.mark.parametrize("where", ["acdc.discovery.prepare", "acdc.loading.find_source"])
def test_out_of_memory_says_what_to_lower(discover, file, monkeypatch, run_out, where):
    monkeypatch.setattr(where, lambda *args, **kwargs: run_out())
    said = discover(file(*pairs()))
    assert said.startswith("out of memory; lower --batch-size or --n")
    assert "--dtype" in said


def test_out_of_memory_while_weights_are_read_is_no_fault_of_the_model(refused, gpt2_folder, monkeypatch):
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", lambda *args, **kw: torch.empty(1 << 60))
    assert refused("model", "check", gpt2_folder).startswith("out of memory; lower")


def test_a_folder_under_a_file_is_refused(discover, file):
    task = file(*pairs())
    said = discover(task, "--out", "pairs.jsonl/run")
    assert said == "can't make pairs.jsonl/run: Not a directory; choose another folder with --out."


def test_a_file_in_the_folder_s_place_is_refused(discover, file):
    task = file(*pairs())
    assert discover(task, "--out", task) == "pairs.jsonl is a file; choose another folder with --out."


def test_a_folder_name_that_the_system_refuses_is_refused(discover, file):
    said = discover(file(*pairs()), "--out", "o" * 300)
    assert said.startswith("can't use oooo")
    assert said.endswith("File name too long; choose another folder with --out.")


@pytest.mark.parametrize("command", [["show"], ["export", "--format", "svg"]])
def test_a_file_name_that_the_system_refuses_is_refused(refused, command):
    assert refused(*command, "x" * 300).endswith("xxx: File name too long.")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_folder_without_write_permission_is_refused(discover, file, tmp_path, mode):
    task = file(*pairs())
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(mode)
    try:
        assert "Permission denied" in discover(task, "--out", "locked/run")
    finally:
        locked.chmod(0o700)


def test_export_to_a_folder_that_is_not_there_is_refused(refused, finished):
    assert "can't write nowhere/c.dot: No such file or directory" in refused(
        "export", finished, "--format", "dot", "--out", "nowhere/c.dot"
    )


@pytest.mark.parametrize("command", [["show"], ["export", "--format", "svg"]])
def test_a_folder_that_is_no_run_is_refused(refused, tmp_path, command):
    (tmp_path / "plain").mkdir()
    assert "plain" in refused(*command, "plain")
    assert "nowhere" in refused(*command, "nowhere")


def test_a_file_that_is_no_circuit_is_refused(refused, file):
    name = file("{}", name="odd.json")
    assert "odd.json isn't a circuit: it lacks cfg, edges, nodes." in refused("show", name)


# Going on.


def test_an_existing_folder_is_refused_and_untouched(discover, file, tmp_path):
    task = file(*pairs())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    assert "out exists already; go on with it by --resume, or choose another folder" in discover(task)
    assert "out is not a run folder (it has no run.json)" in discover(task, "--resume")


@pytest.fixture
def interrupted(call, file, gpt2_folder, monkeypatch):
    """A run that Ctrl-C ends after ten decisions; gives what was said."""

    def interrupted(*options):
        append, count = TraceWriter.append, []

        def counting(writer, decision):
            append(writer, decision)
            count.append(decision)
            if len(count) == 10:
                signal.raise_signal(signal.SIGINT)

        task = file(*pairs(8))
        with monkeypatch.context() as patched:
            patched.setattr(TraceWriter, "append", counting)
            code, _, err = call("discover", task, "--model", gpt2_folder, "--n", 4, "--threshold", 0.01, *options)
        assert code == 130
        assert "Traceback" not in err
        return err

    return interrupted


def test_ctrl_c_keeps_the_checkpoint_and_says_how_to_go_on(interrupted, call, finished, tmp_path):
    said = interrupted("--out", "a run")
    assert "all decisions are in a run" in said
    assert json.loads((tmp_path / "a run" / "run.json").read_text())["status"] == "running"
    assert len((tmp_path / "a run" / "trace.jsonl").read_text().splitlines()) == 10
    assert not (tmp_path / "a run" / "circuit.json").exists()

    again = shlex.split(said.rpartition("Go on with: ")[2])
    assert again[0] == "acdc"
    code, _, err = call(*again[1:])
    assert code == 0
    assert "going on after 10 decisions in a run" in err
    resumed, whole = Run.load(tmp_path / "a run"), Run.load(finished)
    assert resumed.decisions == whole.decisions
    assert (resumed.circuit.in_graph == whole.circuit.in_graph).all()
    assert (resumed.circuit.scores == whole.circuit.scores).all()


def test_ctrl_c_before_the_first_decision_leaves_nothing(call, file, gpt2_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("acdc.discovery.prepare", lambda *args, **kwargs: signal.raise_signal(signal.SIGINT))
    code, _, err = call("discover", file(*pairs()), "--model", gpt2_folder, "--out", "out")
    assert code == 130
    assert err.splitlines()[-1] == "acdc: interrupted."
    assert not (tmp_path / "out").exists()


def test_an_unfinished_run_is_not_shown_or_exported(interrupted, refused):
    interrupted("--out", "out")
    assert "isn't finished; go on with it by acdc discover ... --resume" in refused("show", "out")
    assert "out has no circuit.json" in refused("export", "out", "--format", "svg")


def test_resuming_with_another_threshold_is_refused(interrupted, refused, gpt2_folder):
    interrupted("--out", "out")
    same = ["discover", "pairs.jsonl", "--model", gpt2_folder, "--n", 4, "--out", "out", "--resume"]
    said = refused(*same, "--threshold", 0.06)
    assert "out holds a run with other settings: threshold was 0.01 and is 0.06." in said
    said = refused(*same, "--threshold", 0.01, "--gates", "--order", "increasing")
    assert "gates was False and is True; order was 'default' and is 'increasing'." in said


def test_resuming_with_other_prompts_is_refused(interrupted, refused, file, gpt2_folder):
    interrupted("--out", "out")
    file(*pairs(8, seed=1))
    same = ["discover", "pairs.jsonl", "--model", gpt2_folder, "--n", 4, "--out", "out", "--resume"]
    assert "other settings: the data changed." in refused(*same, "--threshold", 0.01)


def test_a_finished_run_is_only_reported(call, file, gpt2_folder, tmp_path):
    args = ["discover", file(*pairs(8)), "--model", gpt2_folder, "--n", 4, "--threshold", 0.01, "--out", "out"]
    code, first, err = call(*args)
    assert code == 0, err
    written = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "out").glob("*.json*")}
    code, second, err = call(*args, "--resume")
    assert code == 0
    assert "the run in out is finished already" in err
    assert second == first
    assert written == {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "out").glob("*.json*")
    }


# What the commands do.


def test_discover_writes_the_run_and_says_what_it_found(call, file, gpt2_folder, tmp_path):
    code, out, err = call(
        "discover", file(*pairs(8)), "--model", gpt2_folder, "--n", 4, "--threshold", 0.01, "--seed", 0
    )
    assert code == 0, err
    folder = tmp_path / "runs" / f"pairs-{gpt2_folder.name}-0.01"
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
    assert re.search(r"the model on clean prompts: [\d.]+% right, logit difference .+; on corrupted ones: ", err)


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
    assert out.splitlines() == [
        "pairs.jsonl: 1 pair of 6 tokens, lined up token by token",
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
    assert "4 pairs of 5 to 9 tokens, lined up token by token" in out


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
    assert out.startswith("tiny-tasks")


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
