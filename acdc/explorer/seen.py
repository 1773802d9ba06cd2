"""What running the model adds to a page: prompts with predictions, what each node does, the curve over sizes.

These are plain numbers and text, so that a page is made of them without torch; :mod:`acdc.analysis` computes them.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from acdc.equality import OfArrays
from acdc.pairs.looking import ShownPair


@dataclass(frozen=True)
class Likely:
    """A token, and how likely it is, or how much is added to its logit."""

    token: str
    value: float


@dataclass(frozen=True)
class Written:
    """What a head's OV circuit writes of one source token, the strongest first.

    Attributes:
        raised: the tokens whose logits rise the most.
        lowered: those whose logits fall the most.
    """

    raised: Sequence[Likely] = ()
    lowered: Sequence[Likely] = ()


@dataclass(frozen=True)
class SeenPrompt:
    """A prompt pair, and what follows it.

    Attributes:
        pair: its tokens, spans and answers.
        template: which one it is of, where it says so.
        held_out: whether it wasn't used to find the circuit.
        likely: for ``model``, ``circuit`` and ``ablated``: for each answer position, the likeliest tokens and their
            probabilities.
        values: for ``model``, ``circuit`` and ``ablated``: the mean over its answer positions of each quantity of
            :class:`acdc.results.Behaviour` (``kl``, ``logit_difference``, ``accuracy`` ...).
    """

    pair: ShownPair
    template: str | None
    held_out: bool
    likely: Mapping[str, Sequence[Sequence[Likely]]]
    values: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Pattern(OfArrays):
    """Where a head looks on one prompt pair, ``[pos_q, pos_k]`` on either prompt."""

    clean: Float[np.ndarray, "pos pos"]
    corrupted: Float[np.ndarray, "pos pos"]


@dataclass(frozen=True)
class SeenNode:
    """What one node does.

    Attributes:
        label: what kind of head it is, in the field's words; ``None`` where no detector says so.
        detectors: scores of head detectors, by name, 0 to 1.
        direct: direct logit attribution to the right answer and to the wrong one, of each prompt, ``[prompt, 2]``;
            where there are no wrong answers, the first is less the mean over all outputs, and the second NaN.
        patterns: of a head, by the prompt's index.
        writes: of a head, by the prompt's index: for each source token, what its OV circuit writes of it.
    """

    label: str | None = None
    detectors: Mapping[str, float] = field(default_factory=dict)
    direct: Float[np.ndarray, "prompt 2"] | None = None
    patterns: Mapping[int, Pattern] = field(default_factory=dict)
    writes: Mapping[int, Sequence[Written]] = field(default_factory=dict)


@dataclass(frozen=True)
class SizePoint:
    """A circuit of some size, of the largest scores, as it was run.

    Attributes:
        asked: edges asked for.
        n_edges: edges left, those on a path.
        figures: means on the prompts used: metrics by name, and ``faithfulness``.
    """

    asked: int
    n_edges: int
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Seen:
    """All of it.

    Attributes:
        prompts: those used, then those held out.
        nodes: by name, those of the circuit.
        curve: by size asked for.
        missing: what can't be shown and why, a sentence each.
    """

    prompts: Sequence[SeenPrompt] = ()
    nodes: Mapping[str, SeenNode] = field(default_factory=dict)
    curve: Sequence[SizePoint] = ()
    missing: Sequence[str] = ()


def to_json(seen: Seen) -> dict[str, Any]:
    """What a page reads of it, plain JSON: ``prompts``, ``nodes``, ``curve`` and ``missing``.

    Numbers have five significant digits, and what isn't one is ``None``. Patterns are bytes in base64, ``[pos_q,
    pos_k]`` row by row, 255 being 1. What is written of a token is ``[raised, lowered]``, each of them tokens and
    logits by turns; these have three digits, as many as are shown.
    """
    return {
        "prompts": [_prompt(prompt) for prompt in seen.prompts],
        "nodes": {name: _node(node) for name, node in seen.nodes.items()},
        "curve": [
            {"asked": point.asked, "n_edges": point.n_edges, "figures": _numbers(point.figures)} for point in seen.curve
        ],
        "missing": list(seen.missing),
    }


def rounded(value: float, digits: int = 5) -> float | None:
    """A number as a page has it; ``None`` for what isn't finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _numbers(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: rounded(float(value)) for name, value in values.items()}


def _prompt(prompt: SeenPrompt) -> dict[str, Any]:
    pair = prompt.pair
    return {
        "where": pair.where,
        "template": prompt.template,
        "held_out": prompt.held_out,
        "tokens": [asdict(token) for token in pair.tokens],
        "answers": [asdict(answer) for answer in pair.answers],
        "likely": {state: [_likely(each) for each in found] for state, found in prompt.likely.items()},
        "values": {state: _numbers(values) for state, values in prompt.values.items()},
    }


def _node(node: SeenNode) -> dict[str, Any]:
    return {
        "label": node.label,
        "detectors": _numbers(node.detectors),
        "direct": None if node.direct is None else [[rounded(float(part)) for part in pair] for pair in node.direct],
        "patterns": {
            str(prompt): {
                "n": len(pattern.clean),
                "clean": _bytes(pattern.clean),
                "corrupted": _bytes(pattern.corrupted),
            }
            for prompt, pattern in node.patterns.items()
        },
        "writes": {str(prompt): [_written(each) for each in found] for prompt, found in node.writes.items()},
    }


def _likely(found: Sequence[Likely]) -> list[list[Any]]:
    return [[one.token, rounded(one.value)] for one in found]


def _written(found: Written) -> list[list[Any]]:
    return [
        [part for one in end for part in (one.token, rounded(one.value, 3))] for end in (found.raised, found.lowered)
    ]


def _bytes(pattern: Float[np.ndarray, "pos pos"]) -> str:
    return b64encode(np.rint(np.nan_to_num(pattern).clip(0, 1) * 255).astype(np.uint8).tobytes()).decode("ascii")
