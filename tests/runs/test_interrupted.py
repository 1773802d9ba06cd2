"""Going on: whatever ended a run, the next one finishes it, and decides as if nothing had been."""

import errno
import multiprocessing
import os
import random
import time

import pytest
from same_runs import same, same_decisions
from tiny import pairs, save_gpt2, write_pairs

import acdc.discovery.stages
from acdc import Circuit, discover
from acdc.decision import TraceLine
from acdc.errors import RunFolderError
from acdc.runs.folder import RunFolder
from acdc.runs.run import Run
from acdc.runs.trace import TraceWriter, read_trace


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


def test_resume_without_a_run_starts_one(settings, whole, tmp_path):
    assert same(discover(**settings, out=tmp_path / "new", resume=True), whole)


def test_a_finished_run_is_handed_back_as_it_is(settings, whole):
    before = {path.name: path.read_bytes() for path in whole.folder.iterdir()}
    announced = []
    again = discover(**settings, out=whole.folder, resume=True, announce=announced.append)
    assert same(again, whole)
    assert again.record == whole.record
    assert "is finished already" in announced[-1]
    assert {path.name: path.read_bytes() for path in whole.folder.iterdir()} == before


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
