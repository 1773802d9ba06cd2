"""What slots read in many circuits: sums over sources, each once, and what heads make of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from acdc.engine.fast.heads import LayerHeads
from acdc.engine.fast.indices import index
from acdc.engine.fast.places import Places
from acdc.engine.fast.states import Plan
from acdc.graph import Letter


class Values:
    """What sources write in each circuit, less what they carry when they are removed.

    Args:
        plan: which sources of which circuits there are.
        everywhere: at every live place, of the sources that are needed there; else at the answers, of all.
        data: room, ``[row, place, d_model]``.
    """

    def __init__(self, plan: Plan, everywhere: bool, data: Tensor) -> None:
        self._plan, self._data = plan, data
        self._first, self._rows = plan.rows(everywhere=everywhere)  # [circuit], [circuit, source]
        self.n_sources = plan.n_everywhere if everywhere else self._rows.shape[1]
        self._totals: dict[int, tuple[int, Tensor]] = {}  # of so many sources of a circuit, [place * d_model]

    def put(self, circuits: np.ndarray, sources: np.ndarray, found: Tensor, which: np.ndarray) -> None:
        """Note values.

        Args:
            circuits: of each value.
            sources: of each value.
            found: ``[one, place, d_model]``.
            which: which of these each value is.
        """
        device = self._data.device
        if len(which) != len(found) or (which != np.arange(len(which))).any():
            found = found[index(which, device)]
        self._data.index_copy_(0, index(self._rows[circuits, sources], device), found)

    def sum(self, base: Tensor, weights: np.ndarray, circuit: int, out: Tensor | None = None) -> Tensor:
        """What slots read in a circuit.

        Args:
            base: what they read when every edge is ablated, ``[place, d_model]``.
            weights: 1 for each edge that is kept, else 0, ``[slot, parent]``.
            circuit: which.
            out: ``[slot, place * d_model]``, if there is room already.

        Returns:
            ``[slot, place * d_model]``
        """
        sources = self._plan.sources[circuit]
        sources = sources[: np.searchsorted(sources, min(weights.shape[1], self.n_sources))]
        kept, first = weights[:, sources], self._first[circuit]
        if len(kept) == 1 and kept.all():
            return torch.add(base.flatten(), self._total(circuit, len(sources)), out=None if out is None else out[0])[
                None
            ]
        data = self._data[first : first + 1 + len(sources)].flatten(1)
        data[0] = base.flatten()  # one product with it is quicker than a product to be added to it
        own = np.ones((len(weights), 1 + len(sources)), dtype=np.float64)
        own[:, 1:] = kept
        return torch.mm(torch.from_numpy(own).to(data), data, out=out)

    def _total(self, circuit: int, n: int) -> Tensor:
        """The sum over the first sources that are computed in a circuit; slots come in order, each adds what is new."""
        known, total = self._totals.get(circuit, (0, self._data.new_zeros(self._data[0].numel())))
        if n < known:
            raise RuntimeError("slots are asked for in topological order")
        if n > known:
            first = self._first[circuit] + 1
            total = total + self._data[first + known : first + n].flatten(1).sum(0)
            self._totals[circuit] = n, total
        return total


def projected(
    organ: LayerHeads, letter: Letter, heads: np.ndarray, x: Tensor, which: np.ndarray, places: Places
) -> Tensor:
    """Queries, keys or values, ``[item, 1, place, d_head]``.

    Args:
        organ: the layer's heads.
        letter: which of them.
        heads: of each item.
        x: what is read, ``[input, place, d_model]``.
        which: the input of each item; inputs that most heads read are projected for all these together.
        places: where.
    """
    uses = np.bincount(which, minlength=len(x))
    parts = []
    for shared in np.flatnonzero(2 * uses > organ.attention.n_heads):
        items = np.flatnonzero(which == shared)
        parts.append((items, organ.project(letter, heads[items].tolist(), x[shared][None, None], places)))
    if len(items := np.flatnonzero(2 * uses[which] <= organ.attention.n_heads)):
        chosen, counts = np.unique(heads[items], return_counts=True)
        if (counts == counts[0]).all():  # in as many circuits each: its weights are taken once for all of them
            items = items[np.argsort(heads[items], kind="stable")]
        else:
            chosen = heads[items]
        own = x[index(which[items], x.device)].unflatten(0, (len(chosen), -1))
        y = organ.project(letter, chosen.tolist(), own, places, spoils_input=True)
        parts.append((items, y.flatten(0, 1)[:, None]))
    if len(parts) == 1 and (np.diff(parts[0][0]) == 1).all():
        return parts[0][1]
    found = parts[0][1].new_empty(len(which), *parts[0][1].shape[1:])
    for items, y in parts:
        found[index(items, y.device)] = y
    return found


def different(rows: np.ndarray) -> tuple[list[int], np.ndarray]:
    """The first of each kind of rows, and of which kind every row is."""
    seen: dict[bytes, int] = {}
    first: list[int] = []
    kinds = np.empty(len(rows), dtype=np.int64)
    for i, row in enumerate(np.ascontiguousarray(rows)):
        kinds[i] = seen.setdefault(row.tobytes(), len(seen))
        if len(seen) > len(first):
            first.append(i)
    return first, kinds
