"""What whole circuits take, many at once and one alone, for engine.py."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from shapes import gpt2_small, quickest

from acdc.engine import circuits
from acdc.engine.setting import Setting, prepare
from acdc.models.loading import load_model
from acdc.models.model import Model
from acdc.pairs import PromptSet
from acdc.pairs.finding import find_task
from acdc.runs.environment import versions

#: Random circuits that are run at once, and the shares of the edges that they keep.
CIRCUITS, SHARES = 100, (0.5, 0.05)


def bundled_prompts(model: Model, n: int) -> PromptSet:
    """Prompt pairs of ioi for the bundled model."""
    return find_task("ioi").prompts(model.tokenizer, n, **model.limits)


def measure_many(setting: Setting, share: float) -> dict[str, float]:
    """Random circuits at once and one by one; the latter are a fifth of them, scaled up."""
    draws = np.random.default_rng(0)
    masks = list(draws.random((CIRCUITS, setting.graph.n_edges)) < share)
    some = masks[: CIRCUITS // 5]
    one_by_one = 5 * quickest(lambda: [list(circuits.run(setting, [mask])) for mask in some])
    at_once = quickest(lambda: list(circuits.run(setting, masks)))
    figures = {"prompts": len(setting.prompts), "share_kept": share, "one_by_one_s": one_by_one, "at_once_s": at_once}
    return figures | {"ratio": one_by_one / at_once}


def measure_one(setting: Setting) -> dict[str, float]:
    """One random circuit beside a plain forward of the same prompts, through the model itself."""
    mask = np.random.default_rng(0).random(setting.graph.n_edges) < SHARES[0]
    plain = quickest(lambda: setting.model.own_logits(setting.tokens))
    circuit = quickest(lambda: list(circuits.run(setting, [mask])))
    return {"plain_forward_s": plain, "circuit_s": circuit, "ratio": circuit / plain}


def measure_circuits(ns: Sequence[int]) -> dict[str, Any]:
    """Both loads of whole circuits."""
    model = load_model("tiny-tasks")
    settings = [prepare(model, bundled_prompts(model, n)) for n in ns]
    with tempfile.TemporaryDirectory() as folder:
        one = measure_one(prepare(*gpt2_small(Path(folder))))
    many = [measure_many(setting, share) for setting in settings for share in SHARES]
    return {"many": many, "one": one, "versions": versions()}


def circuits_table(figures: dict[str, Any]) -> str:
    """Those figures as text."""
    one = figures["one"]
    lines = [f"{CIRCUITS} random circuits of tiny-tasks   one by one    at once     ratio   (CPU s)"]
    lines += [
        f"{row['prompts']:>5} prompts, {row['share_kept']:>4.0%} of the edges"
        f"{row['one_by_one_s']:>17.2f}{row['at_once_s']:>11.2f}{row['ratio']:>10.1f}"
        for row in figures["many"]
    ]
    return "\n".join(
        [
            *lines,
            f"one circuit of GPT-2 small's size, 10 prompts of 16 tokens: {one['circuit_s']:.2f} CPU s, "
            f"{one['ratio']:.2f} plain forwards of {one['plain_forward_s']:.2f}",
        ]
    )
