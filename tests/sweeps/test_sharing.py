"""Runs that share a process come out as runs alone: the same files but for times and memory."""

import json
from collections import Counter

import pytest

import acdc
from acdc.discovery import sharing
from acdc.engine import setting
from acdc.errors import AcdcWarning, UnknownNameError
from acdc.pairs.promptfile import FileTask
from acdc.sweeps.cells import Cell
from acdc.sweeps.options import RunnerOptions
from acdc.sweeps.runner import Runner
from tests import tiny

pytestmark = [pytest.mark.random_models, pytest.mark.drawn]

#: What depends on the clock and on what else a process holds.
CLOCK = {"seconds", "started", "peak_memory_bytes", "estimated_memory_bytes"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model's folder and a prompt file."""
    folder = tmp_path_factory.mktemp("place")
    tiny.save_gpt2(folder / "model")
    tiny.write_pairs(folder / "pairs.jsonl", tiny.pairs(12))
    return {"model": str(folder / "model"), "task": str(folder / "pairs.jsonl"), "n": 6}


@pytest.fixture(scope="module")
def opened(place):
    """That model, open."""
    return acdc.load_model(place["model"])


def files(folder):
    """What a run wrote, without what the clock says."""
    record = json.loads((folder / "run.json").read_text())
    kept = {name: value for name, value in record.items() if name not in CLOCK}
    return kept | {name: (folder / name).read_bytes() for name in ("circuit.json", "trace.jsonl")}


def alone(settings, out, model):
    acdc.discover(**Cell("a", settings | {"model": model}).arguments, out=out, progress=False)
    return files(out)


CASES = [
    {"threshold": 0.05},
    {"threshold": 0.01, "order": "attribution", "passes": 2},
    {"threshold": 0.01, "engine": "reference", "metric": "logit-diff"},
    {"method": "hybrid", "threshold": 0.01},
    {"method": "eap-ig", "steps": 2, "top": 10},
    {"method": "eap-ig", "steps": 2, "greedy": 15, "by": "value"},
    {"method": "eap", "above": 0.01, "metric": "logit-diff"},
    {"method": "patching", "top": 8},
    {"threshold": 0.02, "passes": 2},
]


def test_runs_that_share_a_process_are_those_alone(place, opened, tmp_path):
    runner = Runner(RunnerOptions())
    for number, own in enumerate(CASES):
        settings, out = place | {"method": "acdc"} | own, tmp_path / f"shared{number}"
        outcome = runner.run(Cell("c", settings), out)
        assert outcome.status == "finished", outcome.sentence
        found, expected = files(out), alone(settings, tmp_path / f"alone{number}", opened)
        assert {name: value for name, value in found.items() if value != expected[name]} == {}, own


#: One after another; each of the first alone changes what may be shared.
CHANGES = [
    {"ablation": "mean"},
    {"split_input": True},
    {"seed": 1},
    {"freeze": "norms"},
    {"freeze": "none", "ablation": "zero", "batch_size": 2},
]


def test_nothing_is_shared_with_the_setting_before(place, opened, tmp_path):
    runner, settings = Runner(RunnerOptions()), dict(place)
    for number, change in enumerate(CHANGES):
        settings |= change
        for threshold in (0.05, 0.002):
            settings["threshold"] = threshold
            assert runner.run(Cell("c", settings), tmp_path / f"{number}-{threshold}").status == "finished"
        assert files(tmp_path / f"{number}-0.002") == alone(settings, tmp_path / f"{number}-alone", opened), change


@pytest.fixture
def counts(monkeypatch):
    """How often a model is opened, prompts of a file are drawn, and prompts are run."""
    found = Counter()

    def count(owner, name):
        function = getattr(owner, name)

        def counted(*args, **kwargs):
            found[name] += 1
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)

    count(sharing, "load_model")
    count(FileTask, "prompts")
    count(setting, "Contributions")
    return found


def test_a_model_is_opened_and_prompts_are_drawn_once(place, tmp_path, counts):
    runner = Runner(RunnerOptions())
    for number, threshold in enumerate((0.1, 0.01, 0.001)):
        cell = Cell("c", place | {"threshold": threshold})
        runner.needs(cell)
        assert runner.run(cell, tmp_path / str(number)).status == "finished"
    assert counts == {"load_model": 1, "prompts": 2, "Contributions": 2}  # used and held-out ones


def test_a_prompt_file_that_changes_is_read_again(place, opened, tmp_path):
    file = tiny.write_pairs(tmp_path / "pairs.jsonl", tiny.pairs(12))
    runner, settings = Runner(RunnerOptions()), place | {"task": str(file), "threshold": 0.01}
    runner.run(Cell("c", settings), tmp_path / "before")
    tiny.write_pairs(file, tiny.pairs(14, seed=3))
    assert runner.run(Cell("c", settings), tmp_path / "after").status == "finished"
    assert files(tmp_path / "after") == alone(settings, tmp_path / "alone", opened)


def test_what_is_warned_of_is_warned_of_in_every_run(place, tmp_path):
    runner = Runner(RunnerOptions())
    said = [
        runner.run(Cell("c", place | {"threshold": 9.0, "seed": seed}), tmp_path / f"{seed}{number}").warned
        for seed in (0, 1)
        for number in range(2)
    ]
    assert said[0] == said[1]
    assert all(any("nothing may be kept" in sentence for sentence in one) for one in said)
    with pytest.warns(AcdcWarning) as caught:
        acdc.discover(**place, threshold=9.0, progress=False)
    assert {str(one.message) for one in caught} == set(said[1])


def test_where_there_is_no_room_the_model_alone_is_shared(place, opened, tmp_path, monkeypatch, counts):
    monkeypatch.setattr(sharing, "_fits", lambda model, needed: False)
    runner = Runner(RunnerOptions())
    for number, threshold in enumerate((0.05, 0.002)):
        assert runner.run(Cell("c", place | {"threshold": threshold}), tmp_path / str(number)).status == "finished"
    assert counts["load_model"] == 1
    assert counts["Contributions"] == 4
    assert files(tmp_path / "1") == alone(place | {"threshold": 0.002}, tmp_path / "alone", opened)


def test_a_model_that_cannot_be_opened_is_tried_once(place, tmp_path, monkeypatch):
    tried = []

    def load(name, **asked):
        tried.append(name)
        raise UnknownNameError("model", name, ["broken"])

    monkeypatch.setattr(sharing, "load_model", load)
    runner = Runner(RunnerOptions())
    outcomes = [runner.run(Cell("c", place), tmp_path / "c") for _ in range(3)]
    assert [outcome.sentence for outcome in outcomes] == [outcomes[0].sentence] * 3
    assert outcomes[0].sentence.startswith("unknown model")
    assert len(tried) == 1


def test_what_opening_a_model_warns_of_is_warned_of_in_every_cell(place, tmp_path):
    folder = tiny.save_gpt2(tmp_path / "model")
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"sliding_window": 3}))
    runner = Runner(RunnerOptions())
    cells = [Cell("c", place | {"model": str(folder), "threshold": threshold}) for threshold in (0.05, 0.01)]
    runner.needs(cells[0])
    first, second = (runner.run(cell, tmp_path / str(number)).warned for number, cell in enumerate(cells))
    assert first == second
    assert first
