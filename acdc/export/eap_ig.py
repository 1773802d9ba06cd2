"""Circuits as EAP-IG and MIB read them: JSON, or a ``.pt`` file of tensors.

Their reader builds its own graph from ``cfg``, with one node for the input and an MLP in every layer, and sets each
edge by its name or place; what their graph lacks stops it, and what a file lacks is left as it was. So what they
would misread is refused here. Their scores are in single precision.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from acdc import circuitfile
from acdc.circuit import Circuit
from acdc.errors import AcdcWarning, SettingsError
from acdc.files import atomic_write

#: The endings of EAP-IG's files.
ENDINGS = (".json", ".pt")


def write_eap_ig(circuit: Circuit, path: str | Path) -> Path:
    """Write a circuit for EAP-IG and MIB, as JSON or, where `path` ends in ``.pt``, by torch.

    Where no score is known (a circuit from a list of edges), scores are written as 0. Warned of are ties at 0, which
    no ranking by score (MIB's CPR) can order; :func:`acdc.interchange.ranking` orders them by runs at several
    thresholds.

    Args:
        circuit: what to write.
        path: a file that ends in ``.json`` or ``.pt``.

    Returns:
        `path`.

    Raises:
        SettingsError: another ending; or a circuit that EAP-IG would misread: with a split input, without MLPs, or
            with a score that is no number, or too large for single precision.
        RunFolderError: the file can't be written.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise SettingsError(f"a file for EAP-IG ends in {' or '.join(ENDINGS)}, and {path.name} doesn't; name it so.")
    scores = _readable_scores(circuit)
    _tell_ties(circuit, scores)
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


def _tell_ties(circuit: Circuit, scores: np.ndarray) -> None:
    """Warn where a ranking by score would be one by chance."""
    n_tied = int((scores.astype(np.float32) == 0).sum())
    if n_tied < 2:
        return
    why = "as no score is known" if np.isnan(circuit.scores).all() else "as edges that weren't tried have"
    warnings.warn(
        f"{n_tied:,} of {len(scores):,} edges share the score 0, {why}: the circuit is read as it is, but a ranking by "
        "score (MIB's CPR) orders such edges by chance; acdc.interchange.ranking orders them by runs at several "
        "thresholds.",
        AcdcWarning,
        stacklevel=3,
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
