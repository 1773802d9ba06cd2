"""What ``run.json`` says of a run: what was asked, on what, with which versions, and what it took."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from acdc.provenance import Provenance
from acdc.results import Evaluation

#: Libraries whose version can change a result (circuits have moved with them before).
_LIBRARIES = ("acdc-circuits", "torch", "transformer-lens", "transformers", "tokenizers", "numpy")

#: The parts of a request that a circuit's provenance has.
_ASKED = ("task", "model", "method", "metric", "ablation")
_OPTIONS = ("threshold", "order", "gates")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that compute."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def working_directory() -> str | None:
    """Where the relative paths of a request begin; unknown where the directory is gone."""
    try:
        return str(Path.cwd())
    except OSError:
        return None


def peak_memory_bytes() -> int | None:
    """Most memory that this process has held, in bytes; on a GPU, most that torch has held there."""
    torch = sys.modules.get("torch")  # a run folder is read without it
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # Linux counts in KiB


def provenance_of(record: Mapping[str, Any]) -> Provenance:
    """How the circuit of a record was found, with the figures that the record has of it."""
    request, results = record["request"], record["results"]
    metrics = (record["usual_metric"], request["metric"])
    used = Evaluation.from_json(results["used"], metrics)
    held_out = None if results["held_out"] is None else Evaluation.from_json(results["held_out"], metrics)
    return measured_provenance(request, used, held_out)


def measured_provenance(request: Mapping[str, Any], used: Evaluation, held_out: Evaluation | None) -> Provenance:
    """How a circuit was found, with the figures that were measured on it."""
    metric = request["metric"]
    return Provenance(
        **dict[str, Any]({name: request.get(name) for name in _ASKED}),
        options={name: request[name] for name in _OPTIONS if request.get(name) is not None},
        flat=True,
        n_prompts=used.n_prompts,
        metric_circuit=used.circuit.metrics.get(metric),
        metric_ablated=used.ablated.metrics.get(metric),
        faithfulness=used.faithfulness,
        faithfulness_metric=used.faithfulness_metric,
        n_held_out=None if held_out is None else held_out.n_prompts,
        metric_held_out=None if held_out is None else held_out.circuit.metrics.get(metric),
        faithfulness_held_out=None if held_out is None else held_out.faithfulness,
    )
