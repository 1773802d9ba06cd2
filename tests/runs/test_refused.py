"""What is refused and left as it was: a folder of another's, of other settings, or a trace that was changed."""

import json

import pytest
from tiny import save_gpt2

import acdc.discovery.stages
from acdc import discover
from acdc.errors import RunFolderError
from acdc.runs.run import Run
from acdc.runs.trace import TraceWriter, read_trace


def test_a_run_that_another_process_writes_is_refused_and_untouched(settings, killed):
    folder = killed(500)
    other = TraceWriter(folder / "trace.jsonl")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RunFolderError, match="another process is writing"):
        discover(**settings, out=folder, resume=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    other.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"threshold": 0.02}, r"threshold was 0\.01 and is 0\.02\."),
        ({"metric": "l2", "ablation": "zero"}, "ablation was 'corrupted' and is 'zero'; metric was 'kl' and is 'l2'"),
        ({"order": "random", "seed": 1}, "order was 'default' and is 'random'; seed was 0 and is 1"),
        ({"n": 3}, r"n was 4 and is 3; the data changed\."),
    ],
)
def test_other_settings_are_refused_by_name(settings, killed, change, said):
    folder = killed(500)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RunFolderError, match=said):
        discover(**settings | change, out=folder, resume=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_another_model_of_the_same_name_is_refused(settings, killed, tmp_path):
    from acdc import load_model

    other = load_model(save_gpt2(tmp_path / "other", seed=1))
    other.name = settings["model"].name
    with pytest.raises(RunFolderError, match=r"with other settings: the model changed\."):
        discover(**settings | {"model": other}, out=killed(500), resume=True)


def test_a_trace_of_another_run_is_refused(settings, whole, killed):
    folder = killed(0)
    lines = (whole.folder / "trace.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "trace.jsonl").write_bytes(lines[0] + lines[2])
    with pytest.raises(RunFolderError, match="it is not of this run"):
        discover(**settings, out=folder, resume=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one | {"kept": not one["kept"]}, r"line 6: the trace has .* it was changed"),
        (lambda one: one | {"before": one["before"] + 1e-9}, r"line 6: the trace has .* begin at"),
        (lambda one: one | {"edge": "m0->m9"}, r"line 6: the trace has m0->m9 where this run tries"),
    ],
)
def test_a_changed_decision_is_not_gone_on_with(settings, whole, killed, change, said):
    folder = killed(0)
    lines = (whole.folder / "trace.jsonl").read_text().splitlines()[:12]
    lines[5] = json.dumps(change(json.loads(lines[5])))
    (folder / "trace.jsonl").write_text("".join(f"{line}\n" for line in lines))
    before = (folder / "trace.jsonl").read_bytes()
    with pytest.raises(RunFolderError, match=said):
        discover(**settings, out=folder, resume=True)
    assert (folder / "trace.jsonl").read_bytes() == before


@pytest.mark.parametrize("most", [13, 1000])
@pytest.mark.parametrize("from_line", [0, -1])
def test_a_metric_that_the_rest_of_the_model_has_not_is_not_gone_on_with(settings, whole, killed, most, from_line):
    folder = killed(0)
    decisions = [json.loads(line) for line in (whole.folder / "trace.jsonl").read_text().splitlines()[:most]]
    while decisions[-1]["kept"]:
        decisions.pop()
    decisions[-1]["after"] -= 0.01
    for decision in decisions[:-1] if from_line == 0 else []:  # every line fits the one above
        decision["before"] -= 0.01
        decision["after"] -= 0.01
    if from_line == 0:
        decisions[-1]["before"] -= 0.01
    (folder / "trace.jsonl").write_text("".join(f"{json.dumps(decision)}\n" for decision in decisions))
    with pytest.raises(RunFolderError, match=f"line {len(decisions)}: the trace leaves the metric at"):
        discover(**settings, out=folder, resume=True)


def test_a_trace_of_another_metric_is_not_gone_on_with(settings, killed):
    folder = killed(2000)
    record = json.loads((folder / "run.json").read_text())
    record["request"]["metric"] = "l2"
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunFolderError, match="it was changed, or the metric was"):
        discover(**settings | {"metric": "l2"}, out=folder, resume=True)


def test_a_trace_that_is_too_long_is_refused(settings, whole, killed):
    folder = killed(0)
    content = (whole.folder / "trace.jsonl").read_bytes()
    (folder / "trace.jsonl").write_bytes(content + content)
    with pytest.raises(RunFolderError, match="it is not of this run"):
        discover(**settings, out=folder, resume=True)


def test_a_run_holds_its_folder_until_it_is_finished(settings, tmp_path, monkeypatch):
    """Also while the circuit is judged on held-out prompts; readers are fine."""
    judge, tried = acdc.discovery.stages.evaluate, []

    def judging(setting, *args, **options):
        with pytest.raises(RunFolderError, match="another process is writing"):
            TraceWriter(tmp_path / "run" / "trace.jsonl")
        tried.append(len(read_trace(tmp_path / "run" / "trace.jsonl")))
        return judge(setting, *args, **options)

    monkeypatch.setattr(acdc.discovery.stages, "evaluate", judging)
    run = discover(**settings, out=tmp_path / "run")
    assert tried == [len(run.decisions)] * 2
    TraceWriter(tmp_path / "run" / "trace.jsonl").close()


def test_an_existing_folder_is_refused(settings, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(RunFolderError, match="choose another folder"):
            discover(**settings, out=tmp_path / "run", resume=resume)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_a_record_that_can_not_be_read_is_refused(settings, killed, content):
    folder = killed(300)
    (folder / "run.json").write_text(content, encoding="latin-1")
    with pytest.raises(RunFolderError, match=r"run\.json is not"):
        discover(**settings, out=folder, resume=True)
    with pytest.raises(RunFolderError, match=r"run\.json is not"):
        Run.load(folder)


def test_a_run_that_is_not_finished_is_not_loaded(whole, killed):
    folder = killed(300)
    with pytest.raises(RunFolderError, match="isn't finished"):
        Run.load(folder)
    (folder / "run.json").write_bytes((whole.folder / "run.json").read_bytes())
    with pytest.raises(RunFolderError, match=r"trace\.jsonl is too short for a run on the 8 nodes"):
        Run.load(folder)
    with pytest.raises(RunFolderError, match="nowhere is not a run folder"):
        Run.load(folder / "nowhere")
