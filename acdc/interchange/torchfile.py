"""EAP-IG's ``.pt`` files: tensors over sources and slots, read without running anything that the file holds.

The file is a dict: ``cfg``; ``src_nodes`` and ``dst_nodes``, the names of rows and columns; ``edges_scores`` and
``edges_in_graph``, ``[source, slot]``; ``nodes_in_graph``, ``[source]``; and, of scored nodes or neurons,
``nodes_scores``, ``neurons_in_graph`` and ``neurons_scores``. Columns stand as our slots do: in each layer q of all
heads, k, v, then the MLP; ``logits`` last. A cell whose source doesn't write before its slot reads is no edge.
"""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acdc.circuitfile import NEURON_KEYS, Content, config_of, neuron_level, of_a_circuit
from acdc.errors import AcdcWarning, CircuitFileError
from acdc.graph import Graph
from acdc.jsondata import shown
from acdc.provenance import Provenance
from acdc.reading import read_regular
from acdc.wording import counted, first_line, quoted, some

if TYPE_CHECKING:
    import torch

#: More than a circuit of the largest graph takes.
_MOST_BYTES = 2**31
#: A score in half precision; a matrix has more cells than edges.
_BYTES_AN_EDGE = 2
_REQUIRED = ("cfg", "src_nodes", "dst_nodes", "edges_scores")


def read_torch(path: Path) -> Content:
    """Read a circuit that EAP-IG, or :func:`acdc.export.eap_ig.write_eap_ig`, has written by torch.

    Raises:
        CircuitFileError: it can't be read, holds anything but plain values and tensors, isn't a circuit, chooses
            neurons inside nodes, or its tensors don't fit its cfg.
    """
    try:
        content = read_regular(path, at_most=_MOST_BYTES)
    except OSError as error:
        raise CircuitFileError(f"can't read {path}: {error.strerror}.") from error
    data = _loaded(path, content)
    if not isinstance(data, dict):
        raise CircuitFileError(f"{path} isn't a circuit: it holds {_what(data)}, not a dict with cfg and edges_scores.")
    if missing := [name for name in _REQUIRED if name not in data]:
        raise CircuitFileError(f"{path} isn't a circuit: it lacks {', '.join(missing)}.")
    for key in NEURON_KEYS:
        if data.get(key) is not None:
            raise neuron_level(path, key)
    with of_a_circuit(path):
        graph = Graph(config_of(data["cfg"], len(content), _BYTES_AN_EDGE))
        return _content(path, graph, data)


def _loaded(path: Path, content: bytes) -> Any:
    """What torch finds in a file, nothing of it run."""
    _check_archive(path, content)
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CircuitFileError(
            f"{path} isn't read: it is damaged, or holds more than tensors and plain values, which only running code "
            "from it would open; write its circuit by EAP-IG's to_pt or as JSON."
        ) from error
    except MemoryError:
        raise CircuitFileError(f"can't read {path}: it doesn't fit into memory.") from None
    except Exception as error:  # torch raises whatever its parts do at a damaged file
        raise CircuitFileError(f"{path} isn't a file of torch.save, or it is damaged: {first_line(error)}") from error


def _check_archive(path: Path, content: bytes) -> None:
    """Raise :class:`CircuitFileError` for an archive that is cut off, packed, or a program."""
    if not content.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise CircuitFileError(f"{path} is damaged or cut off: {first_line(error)}") from error
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise CircuitFileError(f"{path} isn't a circuit: it is a TorchScript program, which acdc doesn't run.")
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.file_size > len(content) for entry in entries):
        raise CircuitFileError(f"{path} isn't a file of torch.save: it is a packed archive; unpack it first.")


def _content(path: Path, graph: Graph, data: Mapping[str, Any]) -> Content:
    n_sources, n_slots = graph.n_sources, len(graph.slots)
    rows = _order("src_nodes", data["src_nodes"], [node.name for node in graph.sources])
    columns = _order("dst_nodes", data["dst_nodes"], [slot.name for slot in graph.slots])
    scores = _matrix(data, "edges_scores", (n_sources, n_slots), "f")
    is_marked = data.get("edges_in_graph") is not None
    marked = (
        _matrix(data, "edges_in_graph", (n_sources, n_slots), "b") if is_marked else np.zeros_like(scores, dtype=bool)
    )
    if data.get("nodes_in_graph") is not None:
        _matrix(data, "nodes_in_graph", (n_sources,), "b")
    node_scores = None
    if data.get("nodes_scores") is not None:
        node_scores = np.append(_matrix(data, "nodes_scores", (n_sources,), "f")[rows], 0.0)
    n_marked = int(marked.sum())
    in_graph, found = np.zeros(graph.n_edges, dtype=bool), np.zeros(graph.n_edges)
    for slot in graph.slots:
        at = rows[: slot.n_parents], columns[slot.index]
        in_graph[slot.edges], found[slot.edges] = marked[at], scores[at]
    if n_phantom := n_marked - int(in_graph.sum()):
        warnings.warn(
            f"{path} marks {n_phantom} cells that are no edges (their source doesn't write before their slot reads), "
            f"beside {counted(n_marked - n_phantom, 'edge')}; they are left out.",
            AcdcWarning,
            stacklevel=5,
        )
    return Content(graph, in_graph, found, Provenance(), is_marked, node_scores)


def _order(key: str, given: Any, names: list[str]) -> np.ndarray:
    """For each of our names, its place in a file's list of the same."""
    if not isinstance(given, list | tuple | dict) or not all(isinstance(name, str) for name in given):
        raise ValueError(f"its {key} must be a list of names, not {_what(given)}")
    place = {name: i for i, name in enumerate(given)}
    if len(place) != len(given):
        raise ValueError(f"a name stands twice in its {key}")
    if place.keys() != set(names):
        lacking, odd = [n for n in names if n not in place], [quoted(n, 40) for n in place if n not in set(names)]
        both = [f"lack {some(lacking)}"] * bool(lacking) + [f"have {some(odd)}"] * bool(odd)
        raise ValueError(f"its {key} aren't those of its cfg: they {' and '.join(both)}")
    return np.array([place[name] for name in names])


def _matrix(data: Mapping[str, Any], key: str, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """A tensor of the file as an array: of float64 (kind ``f``) or of bool (``b``)."""
    import torch

    tensor = data[key]
    if not isinstance(tensor, torch.Tensor):
        raise ValueError(f"its {key} must be a tensor, not {_what(tensor)}")
    if tuple(tensor.shape) != shape:
        raise ValueError(f"its {key} has the shape {_sizes(tensor.shape)}, but its cfg needs {_sizes(shape)}")
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if kind == "f":
        if not plain or not tensor.is_floating_point():
            raise ValueError(f"its {key} must hold numbers, not {tensor.dtype} ({tensor.layout}, {tensor.device})")
        return tensor.detach().to(torch.float64).numpy()
    if not plain or tensor.is_complex():
        raise ValueError(f"its {key} must hold yes and no, not {tensor.dtype} ({tensor.layout}, {tensor.device})")
    if not ((tensor == 0) | (tensor == 1)).all():
        raise ValueError(f"its {key} must hold yes and no (0 and 1), and it holds other numbers")
    return tensor.detach().to(torch.bool).numpy()


def _sizes(shape: torch.Size | tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape) or "of one number"


def _what(value: Any) -> str:
    """What something in a file is, for a message."""
    if value is None or isinstance(value, bool | int | float | str | list | dict):
        return shown(value)
    return f"something of the type {type(value).__name__}"
