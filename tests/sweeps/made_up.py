"""A sweep of made-up cells on made-up workers, which answer at once and do what a test says."""

from acdc.sweeps.cells import Cell
from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.grid import Grid
from acdc.sweeps.outcome import FINISHED, Outcome
from acdc.sweeps.worker import Ended, Needed, Prepare, Ready, RunCell

GB = 10**9


def cells(models="a", seeds=2, thresholds=(1.0, 0.1)):
    """Cells that nothing opens: three axes crossed."""
    crossed = [(model, seed, threshold) for model in models for seed in range(seeds) for threshold in thresholds]
    return [
        Cell(f"{model}-{seed}-{t:g}", {"model": model, "task": "ioi", "method": "acdc", "seed": seed, "threshold": t})
        for model, seed, t in crossed
    ]


def folder_of(path, some):
    return SweepFolder(path, Grid({}, tuple(some)))


class Machine:
    """Starts workers, and keeps what they were told.

    Args:
        needs: bytes by a cell's model.
        dies: how often a cell kills its worker, by the cell's name.
        held: bytes that a worker holds that has opened something.
        starts: which of the workers begin at all, in order; others end at once.
    """

    def __init__(self, needs=None, dies=None, held=GB // 2, starts=()):
        self.needs, self.dies, self.held, self.starts = needs or {}, dict(dies or {}), held, list(starts)
        self.told, self.workers, self.answers = [], [], {}

    def start(self, heard):
        worker = MadeUp(self, heard, len(self.workers))
        self.workers.append(worker)
        return worker

    @property
    def ran(self):
        return [command.cell.name for _, command in self.told if isinstance(command, RunCell)]


class MadeUp:
    def __init__(self, machine, heard, number):
        self.machine, self.heard, self.number = machine, heard, number
        self.alive = machine.starts.pop(0) if machine.starts else True
        self.heard(Ready() if self.alive else None)

    def send(self, command):
        machine, cell = self.machine, command.cell
        machine.told.append((self.number, command))
        if isinstance(command, Prepare):
            self.heard(Needed(machine.needs.get(cell.settings["model"]), machine.held))
        elif machine.dies.get(cell.name, 0):
            machine.dies[cell.name] -= 1
            self.heard(None)
        else:
            self.heard(machine.answers.get(cell.name, Ended(Outcome(FINISHED))))

    def end(self):
        self.alive = False

    def how(self):
        return -9
