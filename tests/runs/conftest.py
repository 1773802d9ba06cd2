"""A run of a tiny model, and what a kill leaves of it."""

import json
from pathlib import Path

import pytest
from tiny import pairs, write_pairs

from acdc import discover


@pytest.hookimpl(tryfirst=True)  # the mark is read behind it
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.random_models)


@pytest.fixture(scope="session")
def task(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("task") / "pairs.jsonl", pairs(8))


@pytest.fixture(scope="session")
def settings(gpt2_model, task):
    return {"model": gpt2_model, "task": task, "threshold": 0.01, "n": 4, "progress": False}


@pytest.fixture(scope="session")
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
