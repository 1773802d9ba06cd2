"""How cells run, and what they need: what a sweep's processes tell each other, without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """What a cell is expected to need.

    Attributes:
        memory_bytes: that the process holds at most, with what it holds already.
        seconds: of the cell alone; ``None`` where nothing is known.
        setting_seconds: those of them that are spent once for all cells on the same prompts in a process.
        method_seconds: those that are spent once for all selections from one method's scores.
    """

    memory_bytes: int
    seconds: float | None = None
    setting_seconds: float = 0.0
    method_seconds: float = 0.0


@dataclass(frozen=True)
class RunnerOptions:
    """How a sweep's cells run; the same for all, and plain values, so that they can be sent to other processes.

    Attributes:
        threads: that torch computes with in a process; ``None``: as many as suit the model.
        curve: also measure curves over sizes, of methods whose scores rank edges.
    """

    threads: int | None = None
    curve: bool = False
