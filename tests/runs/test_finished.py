"""A finished run: its folder, a record that says all, and results that are those of whole patched runs."""

import json
from dataclasses import asdict

import pytest
from same_runs import same

from acdc import discover
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.metrics import METRICS
from acdc.pairs.finding import find_task
from acdc.runs.run import Run


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
        "freeze": None,
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
