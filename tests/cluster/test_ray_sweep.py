"""A sweep on a real cluster: cells end as they do in one process, and what kills its worker hurts no other."""

import json

import pytest

import acdc
from acdc.errors import ClusterError, SettingsError
from acdc.sweeps.cells import Cell
from acdc.sweeps.ray import _Crew, _Member
from acdc.sweeps.sweep import sweep

pytestmark = pytest.mark.random_models

#: A task whose prompts kill the process that draws them first.
DEADLY = """
import os, signal
from pathlib import Path
import acdc
from acdc.pairs.task import Generated

class Once(acdc.Task):
    name = "once"
    summary = "numbers"
    corruptions = {"next": "the next number"}
    source = "made up"

    def generate(self, tokenizer, n, seed, split, corruption):
        if not Path("drawn").exists():
            Path("drawn").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        first = 1 if split == "train" else 100
        return Generated([acdc.PromptPair((first + i, 1), (first + i, 2)) for i in range(n)])
"""


def test_cells_on_a_cluster_end_as_in_one_process(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(DEADLY)
    tasks = ["own.py:Once", "ioi"]
    axes = {"task": tasks, "model": "tiny-tasks", "threshold": 0.3, "n": 3}
    lines = []
    found = sweep(axes, out="s", cluster=cluster, progress=False, announce=lines.append)
    once, alive = found.rows
    assert [row["task"] for row in found.rows] == tasks
    assert (once["status"], alive["status"]) == ("finished", "finished"), once["sentence"]
    alone = acdc.discover("tiny-tasks", "own.py:Once", threshold=0.3, n=3, progress=False)
    assert once["edges"] == alone.circuit.n_edges
    record = json.loads((tmp_path / "s" / "runs" / alive["cell"] / "run.json").read_text())
    assert record["directory"] == str(tmp_path)
    assert "1 machine, 2 CPUs, 0 GPUs: 2 cells at a time" in lines
    assert not [entry.name for entry in (tmp_path / "s").iterdir() if entry.name.startswith(".shared")]


def test_a_cell_that_kills_two_workers_has_its_sentence():
    pytest.importorskip("ray")
    cell = Cell("deadly", {"model": "tiny-tasks", "task": "ioi"})
    crew = _Crew([cell], None, None, lambda cell: None)
    dying = RuntimeError("Worker exit type: SYSTEM_ERROR")
    assert list(crew._died(_Member(None, cell=cell), dying)) == []  # it is tried again
    ((which, outcome),) = crew._died(_Member(None, cell=cell), dying)
    assert (which, outcome.status) == (cell, "failed")
    assert outcome.sentence.startswith("its worker on the cluster died twice (its process was killed)")


def test_a_machine_that_is_lost_while_memory_is_awaited_there_gives_its_cell_back(cluster):
    """Ray itself never ends such a wait."""
    import ray

    cell = Cell("waiting", {"model": "tiny-tasks", "task": "ioi"})
    crew = _Crew([], None, None, lambda cell: None)
    here = ray.get_runtime_context().get_node_id()
    for node in (here, "gone"):
        crew._waited[node] = _Member(None, node=node, cell=cell, group="reserved")
    assert list(crew._stranded()) == []
    assert (list(crew._waited), crew._again) == ([here], [cell])
    crew._waited = {"gone": _Member(None, node="gone", cell=cell, group="reserved")}
    ((which, outcome),) = crew._stranded()
    assert which == cell
    assert "(NodeDiedError: its machine is gone)" in outcome.sentence


def test_more_than_any_machine_has_is_refused(cluster, tmp_path):
    axes = {"task": "ioi", "model": "tiny-tasks", "threshold": 1.0}
    with pytest.raises(ClusterError, match=r"no machine of the cluster has 3 CPUs and 0 GPUs.*2 CPUs, 0 GPUs"):
        sweep(axes, out=tmp_path / "s", cluster=cluster, cpus=3, progress=False)


@pytest.mark.parametrize("asked", [{"cpus": 1.5}, {"gpus": 2.5}])
def test_parts_of_several_are_refused(asked, tmp_path):
    with pytest.raises(SettingsError, match=r"is [12]\.5; Ray gives parts of one, or whole numbers"):
        sweep({"task": "ioi", "model": "tiny-tasks", "threshold": 1.0}, out=tmp_path / "s", cluster="ray", **asked)


def test_a_part_too_small_for_ray_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"`gpus` is 1e-05; the smallest part that Ray gives is 0\.0001"):
        sweep({"task": "ioi", "model": "tiny-tasks", "threshold": 1.0}, out=tmp_path / "s", cluster="ray", gpus=1e-5)


@pytest.mark.long
def test_a_third_is_what_ray_can_count(cluster, tmp_path):
    axes = {"task": "ioi", "model": "tiny-tasks", "threshold": 1.0, "n": 2}
    found = sweep(axes, out=tmp_path / "s", cluster=cluster, cpus=1 / 3, progress=False)
    assert [row["status"] for row in found.rows] == ["finished"]
