"""The fast engine on a GPU, as far as that shows on a machine without one."""

from collections import Counter

import numpy as np
import pytest
import torch
from claimed_gpu import ClaimedGpu
from families import random_model
from tiny import save_toy

import acdc
from acdc.engine.fast.engine import FastEngine
from acdc.engine.fast.recomputing import Recomputing
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.metrics import METRICS
from acdc.pairs import PromptSet, TokenPair
from acdc.pruning.pruner import Acdc, AcdcSettings

pytestmark = pytest.mark.drawn


def draw_prompts(vocabulary):
    """Pairs of unequal length."""
    draws = np.random.default_rng(0)
    pairs = []
    for length in (5, 7, 7):
        clean, corrupted = (tuple(draws.integers(vocabulary, size=length).tolist()) for _ in range(2))
        pairs.append(TokenPair(clean, corrupted, (length - 3, length - 1), ((1,), (2, 3)), ((4,), (5,))))
    return PromptSet(tuple(pairs), "drawn")


def open_model(kind, folder):
    if kind == "attention-only":
        return acdc.load_model(save_toy(folder / "toy"), dtype="float64")
    return acdc.load_model(random_model(kind, torch.float64))


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ("gpt2", "kl"),
        ("gpt2", "logit-diff"),
        ("gpt-neox-parallel", "kl"),
        ("llama", "kl"),
        ("gemma2", "kl"),
        ("olmo2", "kl"),
        ("attention-only", "kl"),
    ],
)
def test_the_way_through_a_gpu(kind, metric, tmp_path, monkeypatch):
    setting = prepare(open_model(kind, tmp_path), draw_prompts(18))
    reference = ReferenceEngine(setting, METRICS[metric])
    settings = AcdcSettings(abs(reference.metric_of(~reference.kept)) / 100, gates=True)
    expected = list(Acdc(reference, settings).decisions())
    assert {d.kept for d in expected} == {True, False}
    batches = []
    run = Recomputing.run
    monkeypatch.setattr(Recomputing, "run", lambda self, *args, **kw: batches.append(1) or run(self, *args, **kw))
    with ClaimedGpu() as gpu:
        engine = FastEngine(gpu.claim(setting), METRICS[metric])
        gpu.waits.clear()
        found = list(Acdc(engine, settings).decisions())
        waits = Counter({where: n for where, n in gpu.waits.items() if "engine/" in where})  # not: reading weights
        again = engine.metric_of(engine.kept)  # the reference runs there too
    assert [(d.edge, d.kept) for d in found] == [(d.edge, d.kept) for d in expected]
    assert all(abs(a.after - b.after) < 1e-8 for a, b in zip(expected, found, strict=True))
    assert 0 < sum(waits.values()) <= len(batches) < len(found), waits  # one for a chain
    assert again == pytest.approx(engine.metric(), abs=1e-8)


def test_what_a_gpu_refuses_is_refused():
    with ClaimedGpu() as gpu:
        on_gpu = torch.ones(3, device="cuda")
        with pytest.raises(RuntimeError, match="on the CPU and on the GPU"):
            on_gpu + torch.ones(3)
        assert str((on_gpu + 1).device) == "cuda:0"
        assert not gpu.waits
        on_gpu[[0, 1]]
        on_gpu.sum().item()
        assert sum(gpu.waits.values()) == 2
        host = torch.ones(3)
        host.to("cuda", non_blocking=True)
        assert sum(gpu.waits.values()) == 2
        host.to("cuda")
        torch.tensor([1, 2], device="cuda")
        assert sum(gpu.waits.values()) == 4
