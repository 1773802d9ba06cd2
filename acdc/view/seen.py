"""What running the model adds to a page: prompts with predictions, what each node does, the curve over sizes.

These are plain numbers and text, so that a page is made of them without torch; :mod:`acdc.analysis` computes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from acdc.pairs.looking import ShownPair


@dataclass(frozen=True)
class Likely:
    """A token, and how likely it is, or how much is added to its logit."""

    token: str
    value: float


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
class Pattern:
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
            the second is NaN where there are no wrong answers.
        patterns: of a head, by the prompt's index.
        writes: of a head, by the prompt's index: for each source token, what its OV circuit writes there, the tokens
            whose logits rise the most.
    """

    label: str | None = None
    detectors: Mapping[str, float] = field(default_factory=dict)
    direct: Float[np.ndarray, "prompt 2"] | None = None
    patterns: Mapping[int, Pattern] = field(default_factory=dict)
    writes: Mapping[int, Sequence[Sequence[Likely]]] = field(default_factory=dict)


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
