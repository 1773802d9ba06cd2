"""Runs: going on after a kill, a record that says all, and a folder that nobody else writes."""

import errno
import json
import multiprocessing
import os
import random
import time
from dataclasses import asdict

import pytest
from tiny import pairs, save_gpt2, write_pairs

import acdc.discovery.stages
from acdc import Circuit, discover
from acdc.decision import TraceLine
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.errors import RunFolderError
from acdc.metrics import METRICS
from acdc.pairs.finding import find_task
from acdc.runs.folder import RunFolder
from acdc.runs.run import Run
from acdc.runs.trace import TraceWriter, read_trace


def same_decisions(some, others):
    """The same edges kept in the same order, numbers within the float noise of float32."""
    return [(d.edge, d.kept) for d in some] == [(d.edge, d.kept) for d in others] and all(
        (a.before, a.after) == pytest.approx((b.before, b.after), abs=1e-5) for a, b in zip(some, others, strict=True)
    )


def same(run, other):
    """Whether two runs decided alike and found the same circuit."""
    return (
        same_decisions(run.decisions, other.decisions)
        and (run.circuit.in_graph == other.circuit.in_graph).all()
        and run.circuit.scores == pytest.approx(other.circuit.scores, abs=1e-5)
        and run.circuit.found.metric_circuit == pytest.approx(other.circuit.found.metric_circuit, abs=1e-5)
    )


pytestmark = pytest.mark.random_models


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("task") / "pairs.jsonl", pairs(8))


@pytest.fixture(scope="module")
def settings(gpt2_model, task):
    return {"model": gpt2_model, "task": task, "threshold": 0.01, "n": 4, "progress": False}


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    """An uninterrupted run, which no test changes."""
    return discover(**settings, out=tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def killed(whole, tmp_path):
    """The folder that a kill leaves: the trace's first bytes and a record that says "running"."""

    def killed(n_bytes):
        folder = tmp_path / f"killed-{n_bytes}"
        folder.mkdir()
        (folder / "trace.jsonl").write_bytes((whole.folder / "trace.jsonl").read_bytes()[:n_bytes])
        record = whole.record.to_json() | {"status": "running", "seconds": 1000.0}
        for late in ("tried", "kept", "in_circuit", "within_noise", "last_metric", "results", "peak_memory_bytes"):
            del record[late]
        (folder / "run.json").write_text(json.dumps(record))
        return folder

    return killed


# Going on.


def test_a_run_goes_on_from_any_byte_of_its_trace(settings, whole, killed):
    content = (whole.folder / "trace.jsonl").read_bytes()
    end_of_a_line = content.index(b"\n", len(content) // 2) + 1
    cuts = [0, end_of_a_line - 1, end_of_a_line, len(content), *random.Random(0).sample(range(len(content)), 3)]
    for cut in cuts:
        folder = killed(cut)
        resumed = discover(**settings, out=folder, resume=True)
        assert same(resumed, whole)
        kept_lines = content[: content.rfind(b"\n", 0, cut) + 1]
        assert (folder / "trace.jsonl").read_bytes().startswith(kept_lines)
        assert same_decisions(read_trace(folder / "trace.jsonl"), whole.decisions)
        assert same(Run.load(folder), whole)


@pytest.mark.parametrize("options", [{"order": "random", "seed": 3}, {"order": "attribution"}, {"gates": True}])
def test_a_run_with_options_goes_on_too(settings, tmp_path, monkeypatch, options):
    expected = discover(**settings, **options)
    append = TraceWriter.append

    def stopping(trace, decision):
        append(trace, decision)
        if decision == expected.decisions[12]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TraceWriter, "append", stopping)
        with pytest.raises(KeyboardInterrupt):
            discover(**settings, **options, out=tmp_path / "run")
    assert read_trace(tmp_path / "run" / "trace.jsonl") == [
        TraceLine.of(decision) for decision in expected.decisions[:13]
    ]
    assert same(discover(**settings, **options, out=tmp_path / "run", resume=True), expected)


def run_in_a_process(options):
    discover(**options)


def test_kill_9_at_three_moments_loses_nothing(tmp_path):
    """A real process with a real model folder, killed three times at moments drawn from a seed, then finished here."""
    options = {
        "model": save_gpt2(tmp_path / "model", n_layer=3, n_head=4),
        "task": write_pairs(tmp_path / "pairs.jsonl", pairs(8)),
        "threshold": 0.003,
        "progress": False,
    }
    whole = discover(**options)
    n = len(whole.decisions)
    assert n > 100
    killing = {**options, "out": tmp_path / "run", "resume": True}
    processes = multiprocessing.get_context("forkserver")  # imports torch once
    processes.set_forkserver_preload(["acdc.discovery.discover", "transformer_lens", "transformers.models.gpt2"])
    trace = tmp_path / "run" / "trace.jsonl"
    for moment in sorted(random.Random(1).sample(range(5, n - 40), 3)):
        process = processes.Process(target=run_in_a_process, args=(killing,))
        process.start()
        while process.is_alive() and not (trace.is_file() and trace.read_bytes().count(b"\n") >= moment):
            time.sleep(0.001)
        process.kill()
        process.join()
        assert process.exitcode == -9
        written = read_trace(trace)
        assert moment <= len(written) < n
        assert same_decisions(written, whole.decisions[: len(written)])
    resumed = discover(**killing)
    assert same(resumed, whole)
    assert same_decisions(read_trace(trace), whole.decisions)
    assert {path.name for path in trace.parent.iterdir()} == {"run.json", "trace.jsonl", "circuit.json"}


def test_what_a_kill_left_of_a_write_is_cleared_away(settings, whole, killed):
    folder = killed(200)
    (folder / ".run.json.abc123.part").write_text('{"format"')
    assert same(discover(**settings, out=folder, resume=True), whole)
    assert not list(folder.glob(".*"))


def test_a_kill_during_the_first_write_leaves_a_folder_that_can_be_used(settings, whole, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".run.json.abc123.part").write_text("{")
    assert same(discover(**settings, out=tmp_path / "run"), whole)


def test_times_add_up(settings, killed):
    assert discover(**settings, out=killed(500), resume=True).record.seconds > 1000


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


def test_a_finished_run_is_handed_back_as_it_is(settings, whole):
    before = {path.name: path.read_bytes() for path in whole.folder.iterdir()}
    announced = []
    again = discover(**settings, out=whole.folder, resume=True, announce=announced.append)
    assert same(again, whole)
    assert again.record == whole.record
    assert "is finished already" in announced[-1]
    assert {path.name: path.read_bytes() for path in whole.folder.iterdir()} == before


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


def test_a_run_that_fails_lets_go_of_its_folder(settings, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(acdc.discovery.stages, "evaluate", lambda *args, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            discover(**settings, out=tmp_path / "run")
    assert same(discover(**settings, out=tmp_path / "run", resume=True), whole)


def test_the_circuit_is_safe_before_held_out_prompts_can_fail_and_has_their_figures_in_the_end(
    settings, whole, tmp_path, monkeypatch
):
    judge, calls = acdc.discovery.stages.evaluate, []

    def dying(*args, **options):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return judge(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(acdc.discovery.stages, "evaluate", dying)
        with pytest.raises(KeyboardInterrupt):
            discover(**settings, out=tmp_path / "run")
    figures = Circuit.load(tmp_path / "run" / "circuit.json").figures
    assert (figures.metric_circuit, figures.n_held_out) == (whole.circuit.found.metric_circuit, None)
    discover(**settings, out=tmp_path / "run", resume=True)
    figures = Circuit.load(tmp_path / "run" / "circuit.json").figures
    held_out = whole.record.results.held_out
    assert figures.n_held_out == held_out.n_prompts == 4
    assert figures.metric_held_out == pytest.approx(held_out.circuit.metrics["kl"])
    assert figures.faithfulness_held_out == pytest.approx(held_out.faithfulness)
    assert figures.faithfulness == pytest.approx(whole.record.results.used.faithfulness)


# The folder and the record.


def test_the_folder_holds_what_the_run_gives(whole):
    assert {path.name for path in whole.folder.iterdir()} == {"run.json", "trace.jsonl", "circuit.json"}
    loaded = Run.load(whole.folder)
    assert same(loaded, whole)
    assert loaded.record == whole.record


def test_the_record_says_all_that_another_needs(whole, settings, task):
    record = json.loads((whole.folder / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["request"] == {
        "task": str(task),
        "model": settings["model"].name,
        "method": "acdc",
        "threshold": 0.01,
        "metric": "kl",
        "ablation": "corrupted",
        "order": "default",
        "gates": False,
        "n": 4,
        "seed": 0,
        "corruption": "file",
        "bos": "auto",
        "allow_misaligned": False,
        "split_input": False,
        "device": "cpu",
        "dtype": "float32",
        "skip_bad_pairs": False,
        "answers": None,
        "wrong_answers": None,
        "selection": None,
    }
    assert record["hashes"].keys() == {"model", "data"}
    assert record["hashes"]["model"] == settings["model"].sha256
    assert all(len(digest) == 64 for digest in record["hashes"].values())
    assert {"python", "acdc-circuits", "torch", "transformer-lens", "transformers", "numpy"} <= set(record["versions"])
    assert record["graph"] == {"nodes": 8, "edges": 46}
    assert 0 < record["noise_floor"] < 1e-5
    assert record["seconds"] > 0
    assert record["peak_memory_bytes"] > 2**20
    assert record["started"].endswith("+00:00")
    assert record["tried"] == len(whole.decisions)
    assert record["kept"] == sum(decision.kept for decision in whole.decisions)
    assert record["in_circuit"] == whole.circuit.n_edges
    assert record["cfg"] == asdict(whole.circuit.graph.cfg)
    assert record["verdict"] == whole.verdict
    assert record["circuit"] == whole.circuit.found.fingerprint
    for prompts in ("used", "held_out"):
        results = record["results"][prompts]
        assert results.keys() == {
            *("n_prompts", "model", "corrupted", "circuit", "complement", "ablated", "prompt_of"),
            *("faithfulness", "faithfulness_metric", "rounding"),
        }
        assert record["results"][prompts]["n_prompts"] == 4
    used = record["results"]["used"]
    assert used["circuit"]["metrics"]["kl"] == pytest.approx(whole.circuit.found.metric_circuit)
    assert used["ablated"]["metrics"]["kl"] == pytest.approx(whole.circuit.found.metric_ablated)
    assert record["last_metric"] == (lambda last: last.before if last.kept else last.after)(whole.decisions[-1])


def test_the_same_run_twice_gives_the_same_files(settings, whole, tmp_path):
    again = discover(**settings, out=tmp_path / "again")
    for name in ("trace.jsonl", "circuit.json"):
        assert (tmp_path / "again" / name).read_bytes() == (whole.folder / name).read_bytes()
    volatile = ("started", "seconds", "peak_memory_bytes", "estimated_memory_bytes")
    some, others = again.record.to_json(), whole.record.to_json()
    assert {k: v for k, v in some.items() if k not in volatile} == {
        k: v for k, v in others.items() if k not in volatile
    }


def test_without_a_folder_nothing_is_written(settings, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = discover(**settings)
    assert same(run, whole)
    assert run.folder is None
    assert not list(tmp_path.iterdir())


def test_decisions_within_the_noise_are_counted(settings, whole):
    first = whole.decisions[0]
    assert whole.record.within_noise == 0
    on_the_border = discover(**settings | {"threshold": first.after - first.before})
    assert on_the_border.record.within_noise >= 1


def test_the_trace_is_synced_at_every_slot_and_the_record_every_half_minute(settings, killed, monkeypatch):
    folder = killed(0)  # of a run that had taken 1,000 seconds
    synced, checkpoints, now = [], [], [0.0]
    sync, checkpoint, append = TraceWriter.sync, RunFolder.checkpoint, TraceWriter.append

    def slow(self, decision):
        now[0] += 8.0
        append(self, decision)

    def counting_sync(self):
        synced.append(len(read_trace(folder / "trace.jsonl")))
        sync(self)

    def timed_checkpoint(self, seconds):
        assert seconds == 1000 + now[0]
        checkpoints.append(now[0])
        checkpoint(self, seconds)

    monkeypatch.setattr(acdc.discovery.progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(TraceWriter, "append", slow)
    monkeypatch.setattr(TraceWriter, "sync", counting_sync)
    monkeypatch.setattr(RunFolder, "checkpoint", timed_checkpoint)
    run = discover(**settings, out=folder, resume=True)
    slots = [decision.edge.partition("->")[2] for decision in run.decisions]
    starts = [i + 1 for i in range(len(slots)) if i == 0 or slots[i] != slots[i - 1]]
    assert set(starts) <= set(synced)
    assert max(b - a for a, b in zip([0.0, *checkpoints], [*checkpoints, now[0]], strict=True)) < 30 + 8
    assert run.record.seconds == 1000 + now[0]


def test_an_existing_folder_is_refused(settings, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(RunFolderError, match="choose another folder"):
            discover(**settings, out=tmp_path / "run", resume=resume)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_resume_without_a_run_starts_one(settings, whole, tmp_path):
    assert same(discover(**settings, out=tmp_path / "new", resume=True), whole)


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


@pytest.mark.parametrize("split", ["train", "test"])
def test_results_are_those_of_whole_patched_runs(settings, whole, split):
    prompts = find_task(settings["task"]).prompts(settings["model"].tokenizer, 4, 0, split)
    engine = ReferenceEngine(prepare(settings["model"], prompts), METRICS["kl"])
    kept = whole.circuit.in_graph
    results = whole.record.results.used if split == "train" else whole.record.results.held_out
    assert 0 < kept.sum() < len(kept)
    assert results.circuit.metrics["kl"] == pytest.approx(engine.metric_of(kept), rel=1e-4)
    assert results.ablated.metrics["kl"] == pytest.approx(engine.metric_of(kept & False), rel=1e-4)


@pytest.mark.parametrize(("dtype", "slow"), [("bfloat16", True), ("float32", False)])
def test_a_run_on_the_slow_engine_that_nobody_asked_for_says_so(gpt2_folder, task, dtype, slow):
    said = []
    discover(gpt2_folder, task, threshold=1.0, n=2, dtype=dtype, progress=False, announce=said.append)
    line = f"the fast engine doesn't run this model in {dtype}; the reference engine does, slowly"
    assert (line in said) == slow


def test_a_full_disk_ends_a_run_that_can_go_on_later(settings, whole, tmp_path, monkeypatch):
    fsync, left = os.fsync, [12]

    def full(handle):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(RunFolderError, match=r"can't write .*: No space left on device"):
            discover(**settings, out=tmp_path / "run")
    assert same(discover(**settings, out=tmp_path / "run", resume=True), whole)
