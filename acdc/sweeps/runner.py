"""What runs cells one after another in a process, and keeps what they share."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from acdc.discovery.discover import discover
from acdc.errors import AcdcError, AcdcWarning
from acdc.sweeps.cells import Cell
from acdc.sweeps.outcome import FAILED, FINISHED, Outcome


@dataclass(frozen=True)
class Needs:
    """What a cell is expected to need.

    Attributes:
        memory_bytes: that the process holds at most, with what it holds already.
        seconds: of the cell alone; ``None`` where nothing is known.
    """

    memory_bytes: int
    seconds: float | None = None


@dataclass(frozen=True)
class RunnerOptions:
    """How a sweep's cells run; the same for all, and plain values, so that they can be sent to other processes.

    Attributes:
        threads: that torch computes with in a process; ``None``: as many as suit the model.
        curve: also measure curves over sizes, of methods whose scores rank edges.
    """

    threads: int | None = None
    curve: bool = False


class Runner:
    """Runs cells in this process.

    Args:
        options: the same for all cells.
    """

    def __init__(self, options: RunnerOptions) -> None:
        self._options = options

    def needs(self, cell: Cell) -> Needs:
        """Open what the cell runs on, and say what it will need.

        Raises:
            AcdcError: the model can't be opened, or prompts can't be drawn.
        """
        raise NotImplementedError

    def run(self, cell: Cell, out: Path) -> Outcome:
        """Run a cell into its folder, or go on with the run in it.

        Whatever goes wrong with the cell alone is a sentence of its outcome.

        Raises:
            RunFolderError: nothing more can be written: the disk is full.
            KeyboardInterrupt: the user's.
        """
        begun = time.monotonic()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", AcdcWarning)
            try:
                discover(**cell.arguments, out=out, resume=True, progress=False, threads=self._options.threads)
                status, sentence = FINISHED, None
            except AcdcError as error:
                status, sentence = FAILED, str(error)
        said = tuple(str(one.message) for one in caught if issubclass(one.category, AcdcWarning))
        return Outcome(status, sentence, said, time.monotonic() - begun)
