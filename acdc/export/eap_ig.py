"""Circuits as EAP-IG and MIB read them: JSON, or a ``.pt`` file of tensors.

Their reader builds its own graph from ``cfg``, with one node for the input and an MLP in every layer, and sets each
edge by its name or place; what their graph lacks stops it, and what a file lacks is left as it was. So what they
would misread is refused here. Their scores are in single precision.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from acdc import circuitfile
from acdc.circuit import Circuit
from acdc.errors import SettingsError
from acdc.files import atomic_write


def write_eap_ig(circuit: Circuit, path: str | Path) -> Path:
    """Write a circuit for EAP-IG and MIB: as JSON where `path` ends in ``.json``, else by torch (``.pt``).

    Where no score is known (a circuit from a list of edges), scores are written as 0.

    Args:
        circuit: what to write; :func:`ties` says what a ranking of it would miss.
        path: the file to write.

    Returns:
        `path`.

    Raises:
        SettingsError: a circuit that EAP-IG would misread: with a split input, without MLPs, or with a score that is
            no number, or too large for single precision.
        RunFolderError: the file can't be written.
    """
    path, scores = Path(path), _readable_scores(circuit)
    if path.suffix.lower() == ".json":
        circuitfile.write(path, circuit.graph, circuit.in_graph, scores, circuit.found)
        return path
    import torch

    content = io.BytesIO()
    torch.save(_tensors(circuit, scores), content)
    with atomic_write(path, "wb") as file:
        file.write(content.getvalue())
    return path


def _readable_scores(circuit: Circuit) -> np.ndarray:
    """The scores to write, ``[n_edges]``. Raises :class:`SettingsError` for a circuit that EAP-IG would misread."""
    cfg = circuit.graph.cfg
    if cfg.split_input:
        raise SettingsError(
            "EAP-IG has one node for the input, the token embeddings, and never ablates positions, so it can't read a "
            "circuit with embed and pos_embed; find it without `split_input`, or choose another format."
        )
    if cfg.attn_only:
        raise SettingsError(
            "EAP-IG gives every layer an MLP, so it would read a circuit of a model without MLPs as that of another "
            "model; choose another format."
        )
    if np.isnan(circuit.scores).all():
        return np.zeros_like(circuit.scores)
    with np.errstate(over="ignore"):
        wrong = ~np.isfinite(circuit.scores.astype(np.float32))
    if wrong.any():
        number = int(wrong.argmax())
        raise SettingsError(
            f"{int(wrong.sum())} of {len(wrong)} scores are no finite numbers in single precision, as EAP-IG needs "
            f"them ({circuit.graph.edge(number).name}: {circuit.scores[number]:g}); score these edges again, or choose "
            "another format."
        )
    return circuit.scores


def check_readable(circuit: Circuit) -> None:
    """Raise :class:`SettingsError` for a circuit that EAP-IG would misread."""
    _readable_scores(circuit)


def ties(circuit: Circuit) -> str | None:
    """What to know before edges are ranked by the scores of a circuit (MIB's CPR); ``None`` if none are tied.

    ACDC gives the score 0 to every edge that it needn't try, which is most of them; a ranking orders these by chance,
    where :func:`acdc.interchange.ranking` orders them by runs at several thresholds, if by as few ranks as runs.
    """
    scores = np.nan_to_num(circuit.scores.astype(np.float32), nan=0.0)
    _, counts = np.unique(np.abs(scores), return_counts=True)
    n_tied, n_zero = int(counts[counts > 1].sum()), int((scores == 0).sum())
    if not n_tied:
        return None
    shared = f"{n_tied:,} of {len(scores):,} edges share their score with others, {n_zero:,} of them the score 0"
    ranked = "a ranking by score, as for MIB's CPR, orders them by chance"
    if "thresholds" in circuit.found.options:
        return f"{shared} (no threshold keeps them): {ranked}; runs at more thresholds order more of them."
    if circuit.found.method != "acdc":
        return f"{shared}: {ranked}."
    return (
        f"{shared} (they weren't tried): {ranked}; runs at other thresholds order them (acdc.interchange.ranking, or "
        "`sweep`)."
    )


def _tensors(circuit: Circuit, scores: np.ndarray) -> dict[str, Any]:
    """What EAP-IG's ``.pt`` file holds."""
    import torch

    graph, cfg = circuit.graph, circuit.graph.cfg
    shape = graph.n_sources, len(graph.slots)
    edges_scores, edges_in_graph = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=bool)
    for slot in graph.slots:
        edges_scores[: slot.n_parents, slot.index] = scores[slot.edges]
        edges_in_graph[: slot.n_parents, slot.index] = circuit.in_graph[slot.edges]
    named = ("n_layers", "n_heads", "parallel_attn_mlp", "d_model")
    return {
        "cfg": {name: getattr(cfg, name) for name in named},
        "src_nodes": [node.name for node in graph.sources],
        "dst_nodes": [slot.name for slot in graph.slots],
        "edges_scores": torch.from_numpy(edges_scores),
        "edges_in_graph": torch.from_numpy(edges_in_graph),
        "nodes_in_graph": torch.from_numpy(graph.live_nodes(circuit.in_graph)[:-1]),
    }
