"""What a reader must know beside a circuit's edges, in a few short phrases."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from acdc.circuit import Circuit, Provenance
from acdc.graph import Graph
from acdc.selection import words_of
from acdc.wording import counted, shortened

_MAX_NAME = 50  # characters of a task or model in the title


def title(circuit: Circuit) -> str:
    """``ioi on gpt2``, as far as both are known; of a path, the name at its end."""
    return known_title(circuit.found) or "Circuit"


def known_title(found: Provenance) -> str:
    """``ioi on gpt2``, as far as both are known; empty where neither is."""
    return " on ".join(filter(None, (short_name(text) for text in (found.task or "", found.model or ""))))


def facts(circuit: Circuit) -> list[str]:
    """Edges kept, how they were found and how far the circuit is from the model; unknown ones left out."""
    found = circuit.found
    out = [f"{circuit.n_edges:,} of {circuit.graph.n_edges:,} edges"]
    if found.method is not None:
        out.append(f"method {printable(found.method)}")
    if found.threshold is not None:
        out.append(f"threshold {found.threshold:g}")
    elif found.options:
        out.append(_words(found.options))
    if found.selection:
        out.append(_short(printable(words_of(found.selection))))
    if found.ablation is not None:
        out.append(f"{printable(found.ablation)} ablation")
    if found.freeze is not None:
        out.append(f"frozen {_short(printable(found.freeze))}")
    if found.edited_from is not None:
        out.append(f"edited: {edits(found.edited_from)}")
    return [*out, *_figures(circuit)]


def dead_ends(graph: Graph, shown: np.ndarray, kept: np.ndarray) -> list[str]:
    """What to say where a part of a circuit shows an edge on no path, whose path in the circuit is left out.

    Args:
        graph: of both.
        shown: ``[n_edges]`` bool, the edges drawn.
        kept: ``[n_edges]`` bool, the circuit's.
    """
    cut = shown & graph.on_path(kept) & ~graph.on_path(shown)
    return ["dead ends: edges left out"] if cut.any() else []


def edits(edited_from: Mapping[str, Any]) -> str:
    """``added m0->logits (1 edge), and 2 earlier edits``."""
    done = edited_from.get("edits") or ["somehow"]
    others = f", and {counted(len(done) - 1, 'earlier edit')}" if len(done) > 1 else ""
    return f"{printable(shortened(done[-1], 3 * _MAX_NAME))}{others}"


def score_words(score: float) -> str:
    """A score in four digits; ``unknown`` where there is none (NaN)."""
    return "unknown" if math.isnan(score) else f"{score:.4g}"


def _words(options: Mapping[str, Any]) -> str:
    """``steps 5``, ``top 100 by magnitude``."""
    return _short(" ".join(printable(f"{name} {value}") for name, value in options.items()))


def _figures(circuit: Circuit) -> Iterator[str]:
    """What was measured on the circuit, or why that isn't told."""
    if circuit.doubt is not None:
        yield circuit.doubt
    if (found := circuit.figures) is None:
        return
    metric = printable(found.metric or "metric")
    values = []
    if found.metric_circuit is not None:
        values.append(f"{found.metric_circuit:.4g}")
    if found.metric_ablated is not None:
        values.append(f"{found.metric_ablated:.4g} with every edge ablated")
    if values:
        yield f"{metric} {', '.join(values)}"
    yield from _share(found, found.faithfulness)
    if found.n_prompts is not None:
        yield counted(found.n_prompts, "prompt")
    if found.n_held_out is None:
        return
    values = [] if found.metric_held_out is None else [f"{metric} {found.metric_held_out:.4g}"]
    values += _share(found, found.faithfulness_held_out)
    yield f"held out: {', '.join([*values, counted(found.n_held_out, 'prompt')])}"


def _share(found: Provenance, share: float | None) -> Iterator[str]:
    if found.faithfulness_metric is not None:
        value = "not defined" if share is None else f"{share:.0%}"
        yield f"faithfulness {value} ({printable(found.faithfulness_metric)})"


def printable(text: str) -> str:
    """`text` as one line that XML can hold: control characters replaced."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def short_name(text: str) -> str:
    """A name, or the last part of a path, as one line of not too many printable characters."""
    return _short(_name(printable(text)))


def _name(text: str) -> str:
    """The last part of a path, here or on Windows, without the ending of a prompt file."""
    parts = [part for part in re.split(r"[\\/]", text) if part.strip(".")]
    return re.sub(r"(?<=.)\.(jsonl|json|csv)$", "", parts[-1], flags=re.IGNORECASE) if parts else text


def _short(text: str) -> str:
    """Cut in the middle, since a path tells most at its ends."""
    if len(text) <= _MAX_NAME:
        return text
    half = _MAX_NAME // 2 - 1
    return f"{text[:half]}\N{HORIZONTAL ELLIPSIS}{text[-half:]}"
