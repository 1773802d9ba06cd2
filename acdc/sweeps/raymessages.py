"""What the driver of a sweep and its workers on a Ray cluster say to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acdc.sweeps.outcome import Outcome
from acdc.sweeps.parcels import Parcel


@dataclass(frozen=True)
class Home:
    """Where a sweep is driven from.

    Attributes:
        folder: the sweep's, absolute.
        mark: a file in it, and what is in that.
        directory: where relative paths begin, if it is known, and the number of that on its disk.
        sweep: a name for the sweep that no other has.
    """

    folder: str
    mark: tuple[str, str]
    directory: tuple[str, int] | None
    sweep: str

    @classmethod
    def here(cls, folder: Path, mark: tuple[str, str], sweep: str) -> Home:
        """That of this process."""
        try:
            directory = (str(Path.cwd()), Path.cwd().stat().st_ino)
        except OSError:
            directory = None
        return cls(str(folder.absolute()), mark, directory, sweep)


@dataclass(frozen=True)
class Sent:
    """Files on their way: their digests, and Ray's references to what is in them."""

    digests: tuple[str, ...]
    references: Sequence[Any]


@dataclass(frozen=True)
class Prepared:
    """A worker has opened what a cell runs on.

    Attributes:
        memory_bytes: that its process will hold at most; ``None`` where nothing is known.
    """

    memory_bytes: int | None


@dataclass(frozen=True)
class Lacking:
    """A worker's machine lacks files."""

    parcels: tuple[Parcel, ...]


@dataclass(frozen=True)
class Returned:
    """How a cell ended, and its run's files where the worker can't write them at their place."""

    outcome: Outcome
    files: Mapping[str, bytes] | None
