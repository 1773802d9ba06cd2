"""acdc's side of the comparison with EAP-IG, in a process of its own, as the peer's: scores by the clock.

    python eap_ig_ours.py JOB.json

The job is that of ``peer_eap_ig.py``, with acdc's names of the methods and, for each, its options.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

sys.path.append(str(Path(__file__).parent))  # behind all that is installed, so that it hides nothing

from peer_clock import measured
from shapes import prompts_of

from acdc.engine.setting import prepare
from acdc.methods.base import Found, Method
from acdc.methods.registry import find_method
from acdc.metrics import Metric, find_metric
from acdc.models.loading import load_model
from acdc.models.model import Model
from acdc.pairs import PromptSet


def main(job: dict[str, Any]) -> None:
    """Do the job and write its result."""
    torch.set_num_threads(job["threads"])
    model = load_model(job["model"], device="cpu", dtype=job["dtype"])
    prompts, metric = prompts_of(model, Path(job["prompts"])), find_metric("logit-diff")
    setting = prepare(model, prompts)
    names, logits = [edge.name for edge in setting.graph.edges()], setting.model_logits.tolist()
    del setting
    methods = {}
    for name, options in job["methods"].items():
        method = find_method(name, **options)
        found, took = measured(partial(_found, method, model, prompts, metric), job["repeats"])
        methods[name] = {"scores": dict(zip(names, found.scores.tolist(), strict=True)), **took}
    Path(job["result"]).write_text(json.dumps({"logits": logits, "methods": methods}))


def _found(method: Method, model: Model, prompts: PromptSet, metric: Metric) -> Found:
    """What a method finds, the prompts' runs included."""
    return method.find(prepare(model, prompts), metric)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
