"""Sweeps that nobody ran: cells and their figures made up, to draw and to put into tables."""

from itertools import product

from acdc.sweeps.cells import Cell
from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.grid import Grid
from acdc.sweeps.outcome import FAILED, FINISHED, Outcome
from acdc.sweeps.swept import Sweep
from acdc.sweeps.table import Table


def cells(**axes):
    """A cell for each of the values' product."""
    axes = {"task": ["ioi"], "model": ["tiny-tasks"], "method": ["acdc"], **axes}
    for values in product(*axes.values()):
        settings = {name: value for name, value in zip(axes, values, strict=True) if value is not None}
        yield Cell("-".join(str(value).replace("/", "_") for value in settings.values()), settings)


def figures(settings):
    """What might come out: large circuits are faithful."""
    edges = max(1, round(3 / float(settings.get("threshold") or settings.get("above") or 0.1)))
    edges += settings.get("seed", 0) + 2 * len(settings["method"])
    share = edges / (edges + 20 + settings.get("seed", 0))
    return {
        "edges": edges,
        "edges_all": 10000,
        "seconds": edges / 10,
        "kl_held_out": 2 / edges,
        "faithfulness_held_out": share,
        "faithfulness_metric": "kl",
    }


def made(path, made_cells, figures=figures, failed=()):
    """A sweep of cells that have finished, but for some that failed, by their numbers."""
    made_cells = tuple(made_cells)
    folder = SweepFolder(path, Grid({}, made_cells))
    path.mkdir(exist_ok=True)
    Table(folder)
    for i, cell in enumerate(made_cells):
        ended = (
            Outcome(FAILED, "the model is too large.")
            if i in failed
            else Outcome(FINISHED, figures=figures(cell.settings))
        )
        folder.outcomes[cell.name] = ended
    return Sweep(folder)
