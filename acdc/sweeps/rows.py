"""The table's row of a cell: its settings, its circuit's size, every figure of ``evaluate``, what it cost.

Figures are named ``QUANTITY[_STATE]_PROMPTS``: ``kl_held_out`` is the circuit's on held-out prompts, and
``kl_ablated_used`` that with every edge ablated, on the prompts that the circuit was found on; the ends of their 95 %
intervals have ``_low`` and ``_high`` behind it.
"""

from __future__ import annotations

from typing import Any

from acdc.runs.folder import read_record
from acdc.sweeps.cells import Cell
from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.outcome import FINISHED, Outcome


def row_of(folder: SweepFolder, cell: Cell, outcome: Outcome) -> dict[str, Any]:
    """The row of a cell that has ended; what isn't known is ``None``."""
    row = {"cell": cell.name, **cell.settings, "status": outcome.status, "sentence": outcome.sentence}
    if outcome.status == FINISHED:
        record = read_record(folder.run_folder(cell))
        row |= {"edges": record.in_circuit, "seconds": record.seconds}
        if record.results is not None and record.results.held_out is not None:
            row["kl_held_out"] = record.results.held_out.circuit.metrics["kl"]
    return row
