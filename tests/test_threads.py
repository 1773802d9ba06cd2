"""Torch's threads: chosen by size, as asked, put back, written down."""

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny import pairs, write_pairs

import acdc.machine
from acdc import Run, discover, find_task, load_model
from acdc.errors import PromptError, SettingsError
from acdc.models import threads
from acdc.models.threads import block_weights, fit_threads, own_threads, set_threads, threads_for

pytestmark = pytest.mark.random_models


@pytest.fixture
def machine(monkeypatch):
    """Torch on a machine of eight cores, of which nobody has chosen a number; the calls are kept, not made."""

    class Machine:
        now, calls = 8, []

        def set(self, number):
            self.now = number
            self.calls = [*self.calls, number]

    made = Machine()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: made.now)
    monkeypatch.setattr(torch, "set_num_threads", made.set)
    monkeypatch.setattr("acdc.machine.cores", lambda: 8)
    return made


@pytest.fixture
def task(tmp_path):
    return write_pairs(tmp_path / "pairs.jsonl", pairs(4))


@pytest.fixture
def prompts(task):
    return find_task(task).prompts(None, 4)


def test_a_small_model_runs_on_one_thread_and_torch_gets_its_own_back(machine, gpt2_model, task, tmp_path):
    run = discover(gpt2_model, task, n=2, threshold=0.1, out=tmp_path / "run", progress=False)
    assert run.record.threads == 1
    assert Run.load(tmp_path / "run").record.threads == 1
    assert machine.calls == [1, 8]


def test_a_model_is_opened_on_one_thread(machine, gpt2_folder, monkeypatch):
    load_model(gpt2_folder)
    assert machine.calls == [1, 8]
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    load_model(gpt2_folder)
    assert machine.calls == [1, 8, 8]


def test_the_number_asked_for_is_used(machine, gpt2_folder, task):
    run = discover(gpt2_folder, task, n=2, threshold=0.1, threads=np.int64(5), progress=False)
    assert run.record.threads == 5
    assert type(run.record.threads) is int
    assert machine.calls == [5, 1, 5, 8]


def test_torch_gets_its_own_back_after_an_error(machine, gpt2_model, task):
    with pytest.raises(PromptError):
        discover(gpt2_model, task, n=99, threads=3)
    assert machine.calls == [3, 8]


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_what_the_environment_says_is_kept(machine, monkeypatch, gpt2_model, task, name):
    monkeypatch.setenv(name, "6")
    machine.now = 6
    run = discover(gpt2_model, task, n=2, threshold=0.1, progress=False)
    assert run.record.threads == 6
    assert set(machine.calls) <= {6}
    assert discover(gpt2_model, task, n=2, threshold=0.1, threads=2, progress=False).record.threads == 2


def test_decisions_are_the_same_on_two_threads(gpt2_model, task):
    settings = {"n": 4, "threshold": 0.01, "progress": False}
    one, two = (discover(gpt2_model, task, threads=number, **settings) for number in (1, 2))
    assert [decision.edge for decision in one.decisions if decision.kept] == [
        decision.edge for decision in two.decisions if decision.kept
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-1, "-1"),
        (257, "257"),
        pytest.param(10**5_000, "something of the type int", id="huge"),
        (2.0, "2.0"),
        ("4", "'4'"),
        (True, "True"),
        ([1], "[1]"),
        ("x" * 1_000_000, "something of the type str"),
        (float("nan"), "nan"),
    ],
)
def test_what_is_no_number_of_threads_is_one_sentence(machine, gpt2_model, task, value, shown):
    with pytest.raises(SettingsError) as error:
        discover(gpt2_model, task, threads=value)
    assert str(error.value) == f"`threads` must be a whole number from 1 to 256, not {shown}."
    assert set(machine.calls) <= {8}


def test_larger_models_get_more_threads_up_to_the_cores():
    widths = (128, 384, 768, 1024, 2048, 4096)
    chosen = [threads_for(12 * width**2 * 1600, cores=16) for width in widths]
    assert chosen == sorted(chosen)
    assert chosen[0] == chosen[1] == 1
    assert chosen[2] > 1
    assert chosen[-1] == 16
    assert threads_for(0, cores=16) == threads_for(10**12, cores=1) == 1


def test_more_prompts_get_more_threads(machine, gpt2_model, task, monkeypatch):
    monkeypatch.setattr(threads, "block_weights", lambda model: 10**9)
    for n, used in ((1, 3), (2, 6), (4, 8)):  # of six tokens each
        machine.now = 8
        assert fit_threads(gpt2_model, find_task(task).prompts(None, n)) == used


def test_never_more_than_torch_had(machine, gpt2_model, prompts, monkeypatch):
    monkeypatch.setattr(threads, "block_weights", lambda model: 10**12)
    for torchs, cores, used in ((8, 8, 8), (3, 8, 3), (64, 2, 2)):
        machine.now = torchs
        monkeypatch.setattr("acdc.machine.cores", lambda cores=cores: cores)
        assert fit_threads(gpt2_model, prompts) == used


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 6),
        ("250000 100000", 3),
        ("50000 100000", 1),
        ("9900000 100000", 6),
        ("", 6),
        ("1 0", 6),
        ("x y", 6),
    ],
)
def test_a_container_has_the_cores_of_its_quota(monkeypatch, tmp_path, quota, cores):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr("acdc.machine._QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    assert acdc.machine.cores() == cores
    monkeypatch.setattr("acdc.machine._QUOTA", tmp_path / "nothing")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert acdc.machine.cores() == 4


def test_the_size_is_that_of_a_block(gpt2_model):
    assert block_weights(gpt2_model) == 12 * 16**2  # width 16, an MLP of four times that


def test_nothing_is_set_where_nothing_is_asked(machine):
    set_threads(None)
    assert machine.calls == []
    with own_threads():
        set_threads(4)
        assert machine.now == 4
    assert machine.now == 8


def test_the_wrapped_function_keeps_its_signature():
    assert "threads" in inspect.signature(discover).parameters
    assert discover.__name__ == "discover"


def test_in_a_process_of_its_own(tmp_path):
    """Real threads: the bundled model takes one, whatever torch would."""
    script = """
import sys, torch, acdc
torch.set_num_threads(2)
run = acdc.discover("tiny-tasks", "acronyms", n=4, threshold=10, progress=False)
assert run.record.threads == 1, run.record.threads
assert torch.get_num_threads() == 2
"""
    env = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
