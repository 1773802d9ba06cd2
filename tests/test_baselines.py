"""The original ACDC code's own decisions, one by one; skipped where they are not at hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import acdc
from acdc.engine.fast.engine import FastEngine
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.metrics import METRICS
from acdc.pruning.pruner import Acdc, AcdcSettings

BASELINES = Path(__file__).parents[2] / "shared" / "baselines"


@pytest.mark.skipif(not BASELINES.is_dir(), reason="the original code's decisions (../shared/baselines) are not here")
@pytest.mark.drawn
@pytest.mark.parametrize("engine", [ReferenceEngine, FastEngine])
@pytest.mark.parametrize("name", ["original_4L4H_t0.2", "original_2L8H_attn_t0.05"])
def test_with_gates_every_decision_of_the_original_code_is_repeated(name, engine, tmp_path):
    baseline = json.loads((BASELINES / f"{name}.json").read_text())
    shape = baseline["model"]
    options = [f"--{key.replace('_', '-')}={value}" for key, value in shape.items()]
    subprocess.run([sys.executable, BASELINES / "make_random_model.py", tmp_path, *options], check=True)
    prompts = acdc.find_task(tmp_path / "prompts.jsonl").prompts(None)
    runner = engine(prepare(acdc.load_model(tmp_path), prompts), METRICS["kl"])
    assert runner.metric_of(~runner.kept) == pytest.approx(baseline["kl_corrupted"], abs=1e-5)
    run = Acdc(runner, AcdcSettings(baseline["threshold"], gates=True))
    decisions = list(run.decisions())
    assert [(d.edge, d.kept) for d in decisions] == [(edge, kept) for edge, _, kept in baseline["decisions"]]
    for decision, (_, effect, _) in zip(decisions, baseline["decisions"], strict=True):
        assert decision.after - decision.before == pytest.approx(effect, abs=1e-5)
    assert runner.metric() == pytest.approx(baseline["kl_final"], abs=1e-5)
