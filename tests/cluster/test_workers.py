"""Workers of a cluster: a run on two of them, one of which dies, and what a worker refuses."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import gpt2, pairs, save_gpt2, write_pairs

import acdc
from acdc.cluster import workers
from acdc.cluster.split import Question
from acdc.cluster.workers import Failure, Source, Worker, packed
from acdc.engine.setting import prepare
from acdc.errors import ClusterError, MemoryLimitError, SettingsError, UnknownNameError
from acdc.metrics import METRICS
from acdc.selection import Top

pytestmark = pytest.mark.random_models


@pytest.fixture
def threads():
    """Torch's number is this process's again afterwards."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    write_pairs(folder / "pairs.jsonl", pairs(6, vocab=39))
    return save_gpt2(folder / "model", seed=2), folder / "pairs.jsonl"


def test_a_run_on_two_workers_keeps_one_processs_edges_though_one_is_killed(folder, cluster, tmp_path, monkeypatch):
    model, task = folder
    options = {"dtype": "float64", "threshold": 0.05, "progress": False}
    alone = acdc.discover(model, task, **options)
    killed, said = [], []

    class Dying(workers.RayTeam):
        def answers(self, question):
            if question.what == "chain" and len(killed) < 1:
                import ray

                killed.append(ray.get(self.actors[1].__ray_call__.remote(lambda worker: os.getpid())))
                os.kill(killed[0], signal.SIGKILL)
            return super().answers(question)

    monkeypatch.setattr(workers, "RayTeam", Dying)
    split = acdc.discover(model, task, cluster=cluster, out=tmp_path / "run", announce=said.append, **options)
    assert killed
    assert "splitting the prompts over 2 workers of ray, 1 thread each" in said
    assert "the worker of prompts 4 to 6 died; another takes them" in said
    assert set(split.circuit.edges()) == set(alone.circuit.edges())
    assert [(d.edge, d.kept) for d in split.decisions] == [(d.edge, d.kept) for d in alone.decisions]
    assert [d.after for d in split.decisions] == pytest.approx([d.after for d in alone.decisions], abs=1e-10)
    assert split.record.request == alone.record.request
    again = acdc.discover(model, task, out=tmp_path / "run", resume=True, **options)  # without the cluster
    assert again.record.started == split.record.started


@pytest.mark.long
@pytest.mark.parametrize("step", ["open", "take"])
def test_a_worker_that_dies_before_the_run_begins_is_replaced(folder, cluster, tmp_path, monkeypatch, step):
    model, task = folder
    flag, said = str(tmp_path / "died"), []

    class Dying(Worker):
        def once(self, *given):
            try:
                os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return getattr(super(), step)(*given)
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(Dying, step, Dying.once)
    monkeypatch.setattr(workers, "Worker", Dying)
    options = {"dtype": "float64", "threshold": 0.5, "progress": False}
    split = acdc.discover(model, task, cluster=cluster, announce=said.append, **options)
    assert any("died; another takes them" in line for line in said)
    assert set(split.circuit.edges()) == set(acdc.discover(model, task, **options).circuit.edges())


def test_a_worker_says_what_it_cant_open(folder, threads, tmp_path):
    model = acdc.load_model(folder[0], dtype="float64")
    source = Source.of(model)
    assert Path(source.name).is_absolute()
    assert source.dtype == "float64"
    worker = Worker(1)
    lost = worker.open(replace(source, name=str(tmp_path / "nowhere")))
    assert isinstance(lost.error(), ClusterError)
    assert "same path on every node" in lost.message
    assert "its weights differ" in worker.open(replace(source, sha256="0")).message
    assert worker.open(source) is None
    setting = prepare(model, acdc.prompts(model, folder[1]))
    assert worker.take(packed(setting.part(slice(2, 5))), METRICS["kl"], None, 2) is None
    assert worker.answer(Question("begin"))[0] == "fast"
    assert worker.answer(Question("metric")) == pytest.approx(0, abs=1e-12)


def test_a_model_without_a_name_cant_be_opened_by_workers():
    with pytest.raises(SettingsError, match="workers of a cluster open the model by its name"):
        Source.of(acdc.load_model(gpt2()))


def test_errors_come_back_as_they_were_raised():
    def raised(error):
        def work():
            raise error

        return workers._caught(work)

    for error in (UnknownNameError("metric", "kk", ["kl"]), MemoryLimitError("out of memory.")):
        failure = raised(error)
        assert isinstance(failure, Failure)
        assert type(failure.error()) is type(error)
        assert str(failure.error()) == str(error)
    assert raised(MemoryError()).kind == "MemoryLimitError"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cluster": "rays"}, "ray://host:port"),
        ({"cluster": 3}, "`cluster` must be text"),
        (
            {"cluster": "ray", "method": "eap", "select": Top(3)},
            r"methods that try edges \(acdc, hybrid and patching",
        ),
        ({"cluster": "ray", "freeze": "norms"}, "leave out `cluster`"),
    ],
)
def test_what_cant_be_split_is_said_before_a_model_is_opened(options, said):
    with pytest.raises(SettingsError, match=said):
        acdc.discover("no-such-model", "ioi", **options)
