"""The engines on a real GPU; none of it runs where there is none."""

import traceback
import warnings

import numpy as np
import pytest
import torch
from families import random_model
from test_devices import draw_prompts

import acdc
from acdc.engine.fast.engine import FastEngine
from acdc.engine.fast.recomputing import Recomputing
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.metrics import METRICS
from acdc.pruning.pruner import Acdc, AcdcSettings

GPU = "cuda"
pytestmark = [pytest.mark.drawn, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]


def tiny_tasks(device):
    """20 pairs of `ioi` in the bundled model, in float32."""
    model = acdc.load_model("tiny-tasks", device=device)
    return prepare(model, acdc.find_task("ioi").prompts(model.tokenizer, 20, **model.limits))


@pytest.mark.parametrize("kind", ["gpt2", "gpt-neox-parallel", "llama", "gemma2", "olmo2"])
def test_the_fast_engine_makes_the_references_decisions(kind):
    setting = prepare(acdc.load_model(random_model(kind, torch.float64), device=GPU), draw_prompts(18))
    assert setting.contributions.inputs.is_cuda
    reference, fast = (engine(setting, METRICS["kl"]) for engine in (ReferenceEngine, FastEngine))
    settings = AcdcSettings(abs(reference.metric_of(~reference.kept)) / 100, gates=True)
    expected, found = (list(Acdc(engine, settings).decisions()) for engine in (reference, fast))
    assert {d.kept for d in expected} == {True, False}
    assert [(d.edge, d.kept) for d in found] == [(d.edge, d.kept) for d in expected]
    np.testing.assert_allclose([d.after for d in found], [d.after for d in expected], atol=1e-8)
    assert fast.metric() == pytest.approx(reference.metric(), abs=1e-8)


def test_a_gpu_and_a_cpu_decide_alike():
    on_cpu, on_gpu = (
        list(Acdc(FastEngine(tiny_tasks(device), METRICS["kl"]), AcdcSettings(0.01)).decisions())
        for device in ("cpu", GPU)
    )
    assert [(d.edge, d.kept) for d in on_gpu] == [(d.edge, d.kept) for d in on_cpu]
    np.testing.assert_allclose([d.after for d in on_gpu], [d.after for d in on_cpu], atol=5e-6)


def test_the_host_waits_for_the_device_once_a_batch_at_most(monkeypatch):
    engine = FastEngine(tiny_tasks(GPU), METRICS["kl"])
    batches, waits = [], []
    run = Recomputing.run
    monkeypatch.setattr(Recomputing, "run", lambda *args, **kw: batches.append(1) or run(*args, **kw))

    def note(message, *_, **__):
        """Where it waited, if an engine did."""
        frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_stack()]
        waits.extend(
            [frame for frame in frames if "acdc/engine/" in frame][-1:] if "synchroniz" in str(message) else []
        )

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", note)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            decisions = list(Acdc(engine, AcdcSettings(0.01)).decisions())
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert 0 < len(waits) <= len(batches) < len(decisions), sorted(set(waits))
