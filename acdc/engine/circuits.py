"""Any circuits of a model on its prompts, many at once: the one door to running them.

What isn't a circuit of the setting's graph is refused here: a mask of another graph of as many
edges would be run without complaint, and give a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, TypeGuard

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from acdc.circuit import Circuit
from acdc.engine.alone import run_alone
from acdc.engine.fast.engine import FastEngine
from acdc.engine.fast.side_by_side import SideBySide
from acdc.engine.hidden_units import MaskedMlps
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.graph import Graph
from acdc.models.torchstate import own_torch_state

#: A circuit: which edges are kept, or a share from 0 to 1 of each.
Edges = Bool[np.ndarray, " n_edges"] | Float[Tensor, " n_edges"]
Logits = Float64[Tensor, "prediction n_outputs"]

#: Circuits that are taken at a time, and what their last residuals may take, in bytes.
_MOST, _RESIDUAL_BYTES = 512, 256 * 2**20


def run(
    setting: Setting,
    circuits: Iterable[Any] | Any,
    *,
    hidden_units: Bool[np.ndarray, "n_layers d_mlp"] | Any | None = None,
) -> Iterator[Logits]:
    """Run circuits of a setting's model on its prompts.

    What many share is computed once, and of each only what its edges reach. Each is equal to a whole patched run
    (:func:`acdc.models.patched.run_patched`) but for rounding.

    Args:
        setting: model, prompts and what removed edges carry.
        circuits: each an :class:`acdc.Circuit` of the setting's graph, a boolean array or tensor
            ``[n_edges]``, or a tensor ``[n_edges]`` of floating point numbers from 0 to 1: the share of its
            current value that each edge carries. If such weights want a gradient, their logits have one.
            A boolean array ``[circuit, n_edges]`` is many of them.
        hidden_units: ``[n_layers, d_mlp]`` bool, the hidden units of MLPs that stay; the others carry their ablated
            values into what their MLP writes (:class:`acdc.engine.hidden_units.MaskedMlps`). By default all stay.
            Circuits are then run one by one, and have no gradient.

    Returns:
        For each circuit, in order, its logits at the predictions that count.

    Raises:
        SettingsError: one of them is no circuit of this graph; says which, and what it is; or `hidden_units` is no
            set of hidden units of this model, or it has none that are known.
    """
    wrong = isinstance(circuits, Circuit | Mapping | str | bytes)
    if isinstance(circuits, np.ndarray | Tensor):
        wrong = circuits.ndim != 2
    if wrong or not isinstance(circuits, Iterable):
        raise SettingsError(f"circuits must come as a list, not as {_said(circuits)}; give `[circuit]` for one alone.")
    numbered = enumerate(circuits, 1)
    checked = (_checked(setting.graph, circuit, f"circuit {number}") for number, circuit in numbered)
    given = iter(list(checked)) if isinstance(circuits, Sequence | np.ndarray | Tensor) else checked
    return _logits(setting, given, None if hidden_units is None else MaskedMlps(setting, hidden_units))


def _logits(setting: Setting, circuits: Iterator[Edges], mlps: MaskedMlps | None) -> Iterator[Logits]:
    """Those of circuits that are checked."""
    like = setting.contributions.inputs
    together = max(1, min(_MOST, _RESIDUAL_BYTES // (len(setting.rows) * like.shape[-1] * like.element_size())))
    while taken := list(islice(circuits, together)):
        yield from _in_own_state(_logits_of(setting, taken) if mlps is None else _masked(setting, taken, mlps))


def _masked(setting: Setting, taken: Sequence[Edges], mlps: MaskedMlps) -> Iterator[Logits]:
    for circuit in taken:
        if isinstance(circuit, Tensor) and circuit.requires_grad:
            raise SettingsError("no gradient passes a mask of hidden units; give weights that want none (detach()).")
        with torch.no_grad():
            logits = run_alone(setting, circuit, mlps=mlps)
        yield logits


def _logits_of(setting: Setting, taken: Sequence[Edges]) -> Iterator[Logits]:
    for _, found in groupby(taken, key=type):
        part = list(found)
        masks = [circuit for circuit in part if isinstance(circuit, np.ndarray)]
        if not masks or not FastEngine.serves(setting.model):
            for circuit in part:
                yield run_alone(setting, circuit)
            continue
        for residual in SideBySide(setting).residuals(masks):  # [prediction, d_model]
            with torch.no_grad():
                logits = setting.model.logits(residual).double()
            yield logits


def _in_own_state(results: Iterator[Logits]) -> Iterator[Logits]:
    """Each computed in torch's own state, but for gradients, which a caller may have turned off."""
    while True:
        wanted = torch.is_grad_enabled()
        with own_torch_state(), torch.set_grad_enabled(wanted):
            found = next(results, None)
        if found is None:
            return
        yield found


def _checked(graph: Graph, circuit: Any, where: str) -> Edges:
    """A circuit as a mask, or its weights: a copy, as the caller may go on writing into his own.

    Raises:
        SettingsError: it is none of this graph.
    """
    if isinstance(circuit, Circuit):
        if differences := circuit.graph.differences(graph):
            raise SettingsError(
                f"{where} is of another graph than the model's: {', '.join(differences)}; give one of this model."
            )
        return circuit.in_graph.copy()
    if isinstance(circuit, np.ndarray | Tensor) and circuit.shape == (graph.n_edges,):
        if isinstance(circuit, np.ndarray) and circuit.dtype == bool:
            return np.array(circuit)  # of no subclass
        if _is_dense(circuit) and circuit.dtype == torch.bool:
            return circuit.cpu().numpy().copy()
        if _is_dense(circuit) and circuit.is_floating_point():
            _check_weights(circuit, where)
            with torch.inference_mode(False):
                return circuit.clone()
    raise SettingsError(
        f"{where} is {_said(circuit)}; give an acdc.Circuit, a boolean array of shape ({graph.n_edges},), or weights "
        "from 0 to 1 as a floating-point tensor of that shape."
    )


def _is_dense(circuit: np.ndarray | Tensor) -> TypeGuard[Tensor]:
    return isinstance(circuit, Tensor) and circuit.layout is torch.strided and not circuit.is_meta


def _check_weights(weights: Float[Tensor, " n_edges"], where: str) -> None:
    values = weights.detach().double()  # of some precisions nothing can be asked
    outside = ~((values >= 0) & (values <= 1))  # NaN too
    if outside.any():
        edge = int(outside.nonzero()[0])
        raise SettingsError(
            f"{where} has the weight {float(weights[edge]):.4g} at edge {edge}; weights lie from 0 to 1."
        )


def _said(value: Any) -> str:
    """What something is, for a message."""
    if isinstance(value, np.ndarray | Tensor):
        kind = "an array" if isinstance(value, np.ndarray) else "a tensor" if _is_dense(value) else _not_dense(value)
        return f"{kind} of {str(value.dtype).removeprefix('torch.')}, shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def _not_dense(value: Tensor) -> str:
    return "a tensor without data" if value.is_meta else "a sparse tensor"
