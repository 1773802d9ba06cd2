"""A circuit is judged on the very prompts that it was found on, or it is said why not."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import made_tokenizers as made
import pytest
from given import Given
from tiny import gpt2, pairs, save_gpt2, write_pairs

import acdc
from acdc import PromptPair, Run
from acdc.errors import ModelError, SettingsError, UnknownNameError

pytestmark = pytest.mark.random_models


def begin(folder, monkeypatch):
    """A folder with a model, a prompt file and a run on them, named as they are from there."""
    save_gpt2(folder / "model")
    write_pairs(folder / "pairs.jsonl", pairs(12))
    with monkeypatch.context() as patched:
        patched.chdir(folder)
        acdc.discover("model", "pairs.jsonl", threshold=0.003, n=5, seed=3, out="run", progress=False)
    return folder


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """One that no test changes."""
    with pytest.MonkeyPatch.context() as patched:
        return begin(tmp_path_factory.mktemp("begun"), patched)


@pytest.fixture
def copied(begun, tmp_path):
    """Its run, which a test may change."""
    shutil.copytree(begun / "run", tmp_path / "run")
    return tmp_path


@pytest.fixture
def own(tmp_path, monkeypatch):
    """One whose model and prompts a test may change."""
    return begin(tmp_path, monkeypatch)


def change_record(run, change):
    """Change a record as if the run had been so; its fingerprint follows."""
    from acdc.runs.seal import record_digest

    record = json.loads((run / "run.json").read_text())
    change(record)
    record["fingerprint"] = record_digest(record)
    (run / "run.json").write_text(json.dumps(record))


def judge(circuit, *given, **options):
    return acdc.evaluate(circuit, *given, progress=False, **options)


def test_the_used_and_the_held_out_prompts_are_drawn_again_from_anywhere(begun, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run.load(begun / "run")
    used, held_out = judge(begun / "run")
    assert (used.which, held_out.which) == ("used", "held out")
    assert used.evaluation == run.used
    assert held_out.evaluation == run.held_out
    assert used.metric == "kl"
    assert used.evaluation.faithfulness_metric == "logit-diff"  # the task's
    assert [one.evaluation for one in judge(run)] == [run.used, run.held_out]
    assert [one.evaluation for one in judge(str(begun / "run" / "circuit.json"))] == [run.used, run.held_out]


def test_a_loaded_run_has_the_values_of_a_fresh_one(begun, monkeypatch):
    monkeypatch.chdir(begun)
    fresh = acdc.discover("model", "pairs.jsonl", threshold=0.003, n=5, seed=3, progress=False)
    loaded = Run.load(begun / "run")
    assert loaded.used == fresh.used
    assert loaded.held_out == fresh.held_out
    assert loaded.used.complement.values.keys() == loaded.used.circuit.values.keys() >= {"kl", "accuracy"}
    assert len(loaded.used.circuit.values["kl"]) == 5


def test_an_edited_circuit_gets_figures_of_its_own(copied):
    run = Run.load(copied / "run")
    edge = run.circuit.strongest(1)[0]
    in_graph = run.circuit.in_graph.copy()
    in_graph[edge.number] = False
    replace(run.circuit, in_graph=in_graph).save(copied / "run" / "circuit.json")
    edited = Run.load(copied / "run")
    assert edited.circuit.edited
    used, _ = judge(copied / "run")
    assert used.n_edges == run.circuit.n_edges - 1
    assert used.evaluation.circuit.metrics["kl"] != run.used.circuit.metrics["kl"]
    assert used.evaluation.ablated == run.used.ablated


def test_a_record_of_an_older_version_is_enough(copied):
    def older(record):
        for prompts in ("used", "held_out"):
            for later in ("complement", "prompt_of", "rounding"):
                del record["results"][prompts][later]
            for state in ("model", "circuit", "ablated", "corrupted"):
                del record["results"][prompts][state]["values"]

    before = Run.load(copied / "run")
    change_record(copied / "run", older)
    old = Run.load(copied / "run")
    assert old.used.circuit.metrics == before.used.circuit.metrics
    assert old.used.complement is old.used.circuit.values is None
    assert old.verdict == before.verdict
    assert [one.evaluation for one in judge(copied / "run")] == [before.used, before.held_out]


def test_values_of_a_record_that_were_changed_are_refused(copied):
    def change(record):
        values = record["results"]["used"]["circuit"]["values"]
        values["kl"] = values["kl"].replace("1", "2")

    record = json.loads((copied / "run" / "run.json").read_text())
    change(record)
    (copied / "run" / "run.json").write_text(json.dumps(record))
    with pytest.raises(acdc.AcdcError, match="was changed after the run"):
        Run.load(copied / "run")
    record["results"]["used"]["circuit"]["values"]["kl"] = "1 2"
    (copied / "run" / "run.json").write_text(json.dumps(record))
    with pytest.raises(acdc.AcdcError, match=r"results\.used: circuit\.values\.kl must be 5 finite numbers"):
        Run.load(copied / "run")


@pytest.mark.filterwarnings(r"ignore:.* was found on \d of the \d test prompts:acdc.AcdcWarning")  # see below
def test_other_options_draw_other_prompts_which_are_not_called_used(begun):
    run = begun / "run"
    assert [(one.which, one.evaluation.n_prompts) for one in judge(run, n=3)] == [("train", 3), ("test", 3)]
    assert [one.which for one in judge(run, seed=4)] == ["train", "test"]
    assert [one.which for one in judge(run, n=5, seed=3, bos="auto")] == ["used", "held out"]  # as they were
    assert [one.which for one in judge(run, split="train")] == ["used"]
    assert [one.which for one in judge(run, split="test")] == ["held out"]
    named = judge(run, task=begun / "pairs.jsonl", n=5, seed=3)
    assert [one.which for one in named] == ["used", "held out"]
    assert [one.which for one in judge(run, task=begun / "pairs.jsonl", n=5)] == ["train", "test"]


def test_test_prompts_that_the_circuit_was_found_on_are_said(begun):
    for given in ({}, {"task": begun / "pairs.jsonl", "n": 5}):
        with pytest.warns(acdc.AcdcWarning, match=r"was found on \d of the 5 test prompts .*: to it they are not held"):
            judge(begun / "run", seed=4, **given)


def test_where_nothing_is_held_out_it_is_noted(begun):
    with pytest.warns(acdc.AcdcWarning, match="no result on held-out prompts: .* all are used"):
        report = judge(begun / "run", task=begun / "pairs.jsonl")
    assert len(report) == len(report.notes) == 1
    with pytest.raises(acdc.AcdcError, match="all are used"):
        judge(begun / "run", task=begun / "pairs.jsonl", split="test")


def test_prompts_that_are_gone_or_changed_are_said(own):
    run, file = own / "run", own / "pairs.jsonl"
    write_pairs(file, pairs(12, seed=9))
    with pytest.raises(SettingsError, match=r"the prompts of 'pairs.jsonl' aren't those .*changed since; give `task`"):
        judge(run)
    assert judge(run, task=file, n=5)[0].which == "train"
    file.unlink()
    with pytest.raises(SettingsError, match=r"the prompts of pairs.jsonl, which is gone; put the file back, or give"):
        judge(run)


def test_an_older_run_does_not_know_where_its_paths_begin(tmp_path, monkeypatch):
    old = Path(__file__).parent / "data" / "old_runs"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"the prompts of pairs.jsonl, which isn't in this folder; go to where it"):
        judge(old / "finished")
    monkeypatch.chdir(old)
    assert judge(Path("finished"))[0].which == "used"


@pytest.mark.filterwarnings("ignore:.* an answer is a special token, or none:acdc.AcdcWarning")  # of another model
@pytest.mark.filterwarnings("ignore:no result on held-out prompts:acdc.AcdcWarning")
def test_a_model_that_is_gone_or_changed_is_said(own, gpt2_model):
    run = own / "run"
    save_gpt2(own / "model", seed=1)
    with pytest.raises(SettingsError, match=r"the model 'model' isn't as it was when .*its weights, their precision"):
        judge(run)
    assert judge(run, own / "model")[0].which == "used"  # the same prompts, on the model as it is
    assert judge(run, gpt2_model, task=own / "pairs.jsonl")[0].model == gpt2_model.name
    shutil.rmtree(own / "model")
    with pytest.raises((SettingsError, ModelError), match="was found on"):
        judge(run)


def test_precision_is_that_of_the_run(own, monkeypatch):
    monkeypatch.chdir(own)
    acdc.discover("model", "pairs.jsonl", threshold=0.01, n=4, dtype="float64", out="double", progress=False)
    used, _ = judge("double")
    assert used.evaluation == Run.load("double").used


def test_another_precision_needs_the_model_and_is_no_changed_one(begun):
    with pytest.raises(SettingsError, match=r"run was found in float32; give the `model` too to run it in float64, or"):
        judge(begun / "run", dtype="float64")
    assert judge(begun / "run", begun / "model", dtype="float64")[0].which == "used"
    with pytest.raises(UnknownNameError, match="unknown dtype 'fp16': did you mean float16"):  # the model isn't gone
        judge(begun / "run", dtype="fp16")


def test_a_named_tasks_prompts_begin_as_those_that_the_circuit_was_found_on(tmp_path):
    tokenizer = made.gpt2_like()
    model = acdc.load_model(gpt2(vocab_size=len(tokenizer)), tokenizer=tokenizer)
    given = [PromptPair(f"So Mary gave a {x} to", f"So John gave a {x} to") for x in ("ring", "kiss")]
    found = acdc.discover(model, given, threshold=0.0, bos="yes", progress=False)
    (judged,) = judge(found, model, given, split="train")
    assert judged.which == "used"
    assert judged.evaluation == found.used
    assert judge(found, model, given, split="train", bos="auto")[0].which == "train"


@pytest.mark.filterwarnings(
    "ignore:(.*the right answer is|.*an answer is a special token|no result on held-out prompts):acdc.AcdcWarning"
)
def test_pairs_and_tasks_and_metrics_of_pythons_are_said(begun, gpt2_model, tmp_path):
    given = [PromptPair((1, 2, 3), (3, 2, 1), ((4,),), ((5,),)), PromptPair((2, 2, 3), (3, 2, 2), ((4,),), ((5,),))]
    options = {"threshold": 0.0, "progress": False}
    found = acdc.discover(gpt2_model, given, **options)
    with pytest.raises(SettingsError, match="a list of prompt pairs from Python, which no name draws again; give `ta"):
        judge(found)
    assert judge(found, gpt2_model, given, split="train")[0].which == "used"
    found = acdc.discover(gpt2_model, Given(*given), n=2, **options)
    with pytest.raises(SettingsError, match="the task 'mine', which isn't here"):
        judge(found)

    def gap(circuit, model, answers):
        return (circuit - model).abs().amax(-1)

    found = acdc.discover(gpt2_model, begun / "pairs.jsonl", metric=gap, n=4, **options)
    with pytest.raises(SettingsError, match=r"found by 'gap', a metric of somebody's own.*give `metric`"):
        judge(found)
    assert judge(found, metric=gap)[0].evaluation.circuit == found.used.circuit


def test_a_model_in_memory_is_said():
    given = [PromptPair((1, 2, 3), (3, 2, 1))]
    found = acdc.discover(gpt2(), given, threshold=0.0, progress=False)
    with pytest.raises(SettingsError, match="in memory, which no name opens again; give `model`"):
        judge(found, task=given)


def test_a_file_that_does_not_say_its_prompts(begun, tmp_path):
    run = Run.load(begun / "run")
    bare = replace(run.circuit, found=replace(run.circuit.found, data_sha256=None, seed=None))
    bare.save(tmp_path / "circuit.json")
    with pytest.raises(SettingsError, match=r"doesn't say on which prompts of it .an older version wrote it.; give"):
        judge(tmp_path / "circuit.json")
    found = judge(tmp_path / "circuit.json", begun / "model", begun / "pairs.jsonl", n=5, seed=3)
    assert found[0].evaluation == run.used


def test_held_out_prompts_that_were_changed_are_said(own):
    run = Run.load(own / "run")
    assert run.record.held_out_sha256 == run.circuit.found.held_out_sha256 is not None
    path = own / "pairs.jsonl"
    _, held_out = judge(own / "run")
    line = int(held_out.prompts[0].where.rsplit(" ", 1)[1]) - 1
    lines = path.read_text().splitlines(keepends=True)
    lines[line] = lines[line].replace('"answer_token": ', '"answer_token": 1')
    path.write_text("".join(lines))
    with pytest.warns(acdc.AcdcWarning, match="held-out prompts of .* aren't those that .* was judged on"):
        report = judge(own / "run")
    assert [one.which for one in report] == ["used", "held out"]
    (said,) = report.notes
    assert "the task or the file was changed since" in said


def test_the_very_prompts_have_one_name_whoever_names_their_task(begun):
    run, path = begun / "run", begun / "pairs.jsonl"
    same = {"n": 5, "seed": 3}
    assert [one.which for one in judge(run, None, path, **same)] == ["used", "held out"]
    assert [one.which for one in judge(run, None, path, split="test", **same)] == ["held out"]
    with pytest.warns(acdc.AcdcWarning, match="to it they are not held out"):
        (other,) = judge(run, None, path, split="test", n=4)
    assert other.which == "test"
