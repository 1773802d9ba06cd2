"""Whole runs as users have them, opening and evaluation included, each in a process of its own, for engine.py.

Runs of several checkouts go side by side: they take turns of some seconds, so that whatever else the machine does
falls on all alike. Each computes on one thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engine_loads import Made
from peer_process import last_line
from shapes import Seconds
from tqdm import tqdm

from acdc.errors import AcdcError

HERE = Path(__file__).parent
#: Of the processor, for a turn.
TURN_SECONDS = 2.0
#: What is told and compared of a run's record; the very first versions had less.
_TOLD = (
    *("graph", "tried", "kept", "in_circuit", "hashes", "results", "noise_floor"),
    *("estimated_memory_bytes", "peak_memory_bytes"),
)
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


class EngineRunError(AcdcError):
    """The code of a checkout can't be had, or can't run a load."""


@dataclass(frozen=True)
class Code:
    """acdc as it is in some checkout.

    Attributes:
        name: for tables and messages.
        checkout: the folder that has ``acdc`` in it.
    """

    name: str
    checkout: Path


@dataclass(frozen=True)
class WholeRun:
    """A whole run by the clock.

    Attributes:
        opening: importing the libraries and opening the model.
        decisions: deciding about edges.
        rest: everything else of ``discover``.
        plain_forward: of all prompts used through the model itself.
        device: where the model was.
        record: what the run's ``run.json`` says.
        trace: its decisions, as ``trace.jsonl`` has them.
        folder: of the run.
    """

    opening: Seconds
    decisions: Seconds
    rest: Seconds
    plain_forward: Seconds
    device: str
    record: Mapping[str, Any]
    trace: Sequence[Mapping[str, Any]]
    folder: Path

    @property
    def whole(self) -> Seconds:
        """All of it."""
        return self.opening + self.decisions + self.rest

    def count(self, seconds: Seconds) -> float:
        """Those of the processor; on a GPU, which works while the processor waits, those on the wall."""
        return seconds.wall if self.device.startswith("cuda") else seconds.cpu

    @property
    def outside(self) -> float:
        """The share of the whole that isn't decisions."""
        return 1 - self.count(self.decisions) / self.count(self.whole)

    def forwards(self, seconds: Seconds) -> float:
        """How many plain forwards take so long."""
        return self.count(seconds) / self.count(self.plain_forward)


def whole_runs(codes: Sequence[Code], made: Made, threshold: float, scratch: Path, repeat: int = 1) -> list[WholeRun]:
    """Run a load with each code, side by side.

    Args:
        codes: what runs.
        made: the load.
        threshold: of ACDC, in KL.
        scratch: an empty folder for the runs.
        repeat: how often; of each code the run counts that was the quickest.

    Raises:
        EngineRunError: a code can't run it; says why.
    """
    rounds = []
    for number in range(repeat):
        turned = list(codes) if number % 2 == 0 else list(reversed(codes))  # each is first as often as the others
        found = _side_by_side(turned, made, threshold, scratch / str(number))
        rounds.append([found[code] for code in codes])
    return [min(of_code, key=lambda run: run.count(run.whole)) for of_code in zip(*rounds, strict=True)]


def _side_by_side(codes: Sequence[Code], made: Made, threshold: float, scratch: Path) -> dict[Code, WholeRun]:
    """One run of each code."""
    with ExitStack() as opened:
        processes = [
            _Process(code, opened, _job(code, made, threshold, scratch / str(number)), scratch / str(number))
            for number, code in enumerate(codes)
        ]
        waiting = deque(processes)
        pause = 0.1 if sys.stderr.isatty() else 10  # in a log file, a line every ten seconds is enough
        with tqdm(desc="whole runs", unit="turn", leave=False, mininterval=pause) as bar:
            while waiting:
                process = waiting.popleft()
                if process.take_turn():
                    waiting.append(process)
                bar.update()
        return {process.code: process.found() for process in processes}


def _job(code: Code, made: Made, threshold: float, folder: Path) -> dict[str, Any]:
    return {
        "checkout": str(code.checkout),
        "model": str(made.folder.resolve()),
        "task": made.used.task,
        "metric": made.metric,
        "used": [_row(pair) for pair in made.used.pairs],
        "held_out": [_row(pair) for pair in made.held_out.pairs],
        "threshold": threshold,
        "turn_s": TURN_SECONDS,
        "out": str(folder / "run"),
        "result": str(folder / "result.json"),
    }


def _row(pair: Any) -> dict[str, Any]:
    return {
        name: getattr(pair, name) for name in ("clean", "corrupted", "answers", "wrong_answers", "answer_positions")
    }


class _Process:
    """A run in a process of its own, which computes in its turns alone and is ended with `opened`."""

    def __init__(self, code: Code, opened: ExitStack, job: Mapping[str, Any], folder: Path) -> None:
        self.code, self._folder = code, folder
        folder.mkdir(parents=True)
        file = folder / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        self._errors: IO[str] = opened.enter_context((folder / "stderr").open("w+", encoding="utf-8", errors="replace"))
        # Isolated: no other acdc is to come from where it is called, or from the environment.
        self._process = opened.enter_context(
            subprocess.Popen(
                [sys.executable, "-I", str(HERE / "engine_process.py"), str(file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env={**os.environ, **_ENVIRONMENT},
            )
        )
        opened.callback(self._process.kill)  # before it is waited for; nothing happens to one that has ended
        self._halted()

    def _halted(self) -> bool:
        """Wait until it waits for its next turn, or ends."""
        assert self._process.stdout is not None
        return bool(self._process.stdout.readline())

    def take_turn(self) -> bool:
        """Let it compute for a turn; whether it has another. Raises :class:`EngineRunError` if it has failed."""
        process = self._process
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has been killed: its code says so below
            process.stdin.write("turn\n")
            process.stdin.flush()
        if self._halted():
            return True
        if process.wait():
            self._errors.seek(0)
            said = last_line(self._errors.read(), process.returncode).rstrip(".")
            raise EngineRunError(f"the code of {self.code.name} can't run this load ({said}).")
        return False

    def found(self) -> WholeRun:
        """What it took and found, once it has ended. Raises :class:`EngineRunError` if its record says too little."""
        taken = json.loads((self._folder / "result.json").read_text(encoding="utf-8"))
        run = self._folder / "run"
        record = json.loads((run / "run.json").read_text(encoding="utf-8"))
        if missing := [name for name in _TOLD if name not in record]:
            raise EngineRunError(
                f"the code of {self.code.name} writes no {missing[0]} into a run's record; choose a later commit."
            )
        lines = (run / "trace.jsonl").read_text(encoding="utf-8").splitlines()
        return WholeRun(
            **{name: Seconds(*taken[name]) for name in ("opening", "decisions", "rest", "plain_forward")},
            device=taken["device"],
            record=record,
            trace=[json.loads(line) for line in lines],
            folder=run,
        )
