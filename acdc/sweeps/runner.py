"""What runs cells one after another in a process, and keeps what they share."""

from __future__ import annotations

import errno
import gc
import math
import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acdc.discovery.sharing import Shared
from acdc.errors import AcdcError, AcdcWarning, MemoryLimitError, RunFolderError, noting, warn
from acdc.evaluation.curves import curve
from acdc.models.loading import memory_errors
from acdc.results import Evaluation
from acdc.runs.environment import forget_peak_memory, peak_memory_bytes
from acdc.runs.run import Run
from acdc.sweeps.cells import Cell
from acdc.sweeps.costs import pace_of, seconds_of
from acdc.sweeps.options import Needs as Needs
from acdc.sweeps.options import RunnerOptions as RunnerOptions
from acdc.sweeps.outcome import FAILED, FINISHED, Figure, Outcome
from acdc.sweeps.rows import UNRANKED, figures_of
from acdc.wording import first_line

_FULL = (errno.ENOSPC, errno.EDQUOT)
#: What a run says of a folder that it can't have.
_ELSEWHERE = "choose another folder with `out`"


class Runner:
    """Runs cells in this process, and keeps what they share: see :mod:`acdc.discovery.sharing`.

    Args:
        options: the same for all cells.
    """

    def __init__(self, options: RunnerOptions) -> None:
        self._options = options
        self._shared = Shared()

    def needs(self, cell: Cell, *, timed: bool = False) -> Needs:
        """Open what the cell runs on, and say what it will need.

        Args:
            cell: the cell.
            timed: run a few prompts, to say how long it takes; see :mod:`acdc.sweeps.costs`.

        Raises:
            AcdcError: the model can't be opened, or prompts can't be drawn.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AcdcWarning)  # said as it runs
            place = self._shared.place(self._arguments(cell))
            memory = place.memory_bytes
            if not timed:
                return Needs(memory)
            pace = place.asked.once("pace", lambda: pace_of(place))
        seconds = seconds_of(place, pace)
        if seconds is None:
            return Needs(memory)
        return Needs(memory, seconds.alone, seconds.setting, seconds.method)

    def run(self, cell: Cell, out: Path) -> Outcome:
        """Run a cell into its folder, or go on with the run in it.

        Whatever goes wrong with the cell alone is a sentence of its outcome.

        Raises:
            RunFolderError: nothing more can be written: the disk is full.
            KeyboardInterrupt: the user's.
        """
        begun, ran = time.monotonic(), _Ran()
        forget_peak_memory()
        with noting(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", AcdcWarning)
            sentence = self._sentence(cell, out, ran)
        said = (str(one.message) for one in caught if issubclass(one.category, AcdcWarning))
        return Outcome(
            status=FINISHED if sentence is None else FAILED,
            sentence=sentence,
            warned=tuple(dict.fromkeys((*ran.warned, *said))),
            seconds=time.monotonic() - begun,
            peak_memory_bytes=peak_memory_bytes(),
            estimated_memory_bytes=ran.estimated,
            figures=ran.figures,
        )

    def _sentence(self, cell: Cell, out: Path, ran: _Ran) -> str | None:
        """Run a cell; gives why it failed, if it did."""
        try:
            with memory_errors():
                self._run(cell, out, ran)
        except AcdcError as error:
            if is_full_disk(error):
                raise RunFolderError(str(error)) from error
            if isinstance(error, MemoryLimitError):
                self._forget()
            return _of_a_cell(str(error), out)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic of a library written in Rust is no Exception
            if is_full_disk(error):
                raise RunFolderError(f"can't write {out}: {first_line(error)}") from error
            self._forget()
            return sentence_of(error)
        return None

    def _run(self, cell: Cell, out: Path, ran: _Ran) -> None:
        arguments = self._arguments(cell)
        place = self._shared.place(arguments)
        ran.estimated, shares = place.memory_bytes, place.shares
        del place
        run = self._shared.run({**arguments, "out": out, "resume": True}, share=shares)
        ran.warned = tuple(one for one in run.record.warned if isinstance(one, str))
        ran.figures = figures_of(run.record, run.circuit, cell.settings)
        if self._options.curve and run.held_out is not None and run.record.request.method not in UNRANKED:
            ran.figures |= self._curve(arguments, run, run.held_out)

    def _curve(self, arguments: Mapping[str, Any], run: Run, judged: Evaluation) -> dict[str, Figure]:
        """Figures over sizes, on held-out prompts; where there are none, it is warned of."""
        try:
            setting = self._shared.held_out(arguments, run)
            scored = tuple((name, str(value)) for name, value in arguments.items() if name != "select")
            families = setting.once(("curve", scored), lambda: curve(setting, run.circuit, judged, "acdc")).families
        except AcdcError as error:
            warn(f"no curve: {error}")
            return {}
        if not families:
            return {}
        signed, absolute = families["signed"], families["absolute"]
        found = {
            "cpr": signed.mib.cpr,
            "cmd": absolute.mib.cmd,
            "log_distance": signed.log.distance,
            "smallest": signed.smallest,
        }
        return {name: value if value is None or math.isfinite(value) else None for name, value in found.items()}

    def _arguments(self, cell: Cell) -> dict[str, Any]:
        return {**cell.arguments, "progress": False, "threads": self._options.threads}

    def _forget(self) -> None:
        """Free what is held, whatever state it is in."""
        self._shared.forget()
        gc.collect()


@dataclass
class _Ran:
    """What is known of a cell, whether it finishes or not."""

    estimated: int | None = None
    figures: dict[str, Figure] = field(default_factory=dict)
    warned: tuple[str, ...] = ()  # of the run, perhaps by another process before


def _of_a_cell(sentence: str, out: Path) -> str:
    """A run's sentence as a sweep says it: a cell's folder can't be another, so that what stands in it has to go."""
    there = out.is_symlink() or out.exists()
    return sentence.replace(_ELSEWHERE, "remove it, and run the sweep again") if there else sentence


def sentence_of(error: BaseException) -> str:
    """What is said of an error that nobody expected: a mistake of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"acdc made a mistake: {type(error).__name__}: {first_line(error)[:-1]}{where}; please report it."


def is_full_disk(error: BaseException) -> bool:
    """Whether an error, or what it came of, is a disk without room."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        seen = seen.__cause__ or seen.__context__
    return False
