"""Memory that processes share: none begins what wouldn't fit beside the others, but one alone always may."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from acdc.reading import is_model
from acdc.sweeps.cells import Cell

#: What a process holds that has imported torch and opened nothing.
PROCESS_BYTES = 400 * 2**20
#: Opening a model holds it this many times over, as it is read and as it is converted; from half precision to single.
_OPENING = 4
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")


class Room:
    """Who holds how much memory, and who waits for how much.

    Args:
        total: bytes that all together may hold; ``None``: whatever they need.
    """

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._held: dict[int, int] = {}  # of those who wait, what they hold meanwhile
        self._wanted: dict[int, int] = {}  # by those who wait, in the order of asking

    def ask(self, who: int, wanted: int, held: int) -> None:
        """Wait until there is room.

        Args:
            who: a worker; what it had before is free, but for what it holds.
            wanted: bytes that it will hold at most.
            held: bytes that it holds while it waits.
        """
        self._held[who], self._wanted[who] = held, max(wanted, held)

    def hold(self, who: int, held: int) -> None:
        """It holds so much, without having asked."""
        self._held[who] = held

    def held(self, who: int) -> int:
        """What it holds, or has been let hold."""
        return self._held.get(who, 0)

    def leave(self, who: int) -> None:
        """It holds nothing any more."""
        self._held.pop(who, None)
        self._wanted.pop(who, None)

    def admitted(self) -> int | None:
        """One of those who wait and may begin now, if there is one; from then on it holds what it wanted."""
        for who, wanted in self._wanted.items():
            if self._fits(who, wanted) or len(self._wanted) == len(self._held):
                del self._wanted[who]
                self._held[who] = wanted
                return who
        return None

    def in_the_way(self) -> list[int]:
        """Those who wait and must let go of what they hold, so that those at work have the room that they need."""
        found: list[int] = []
        held = sum(self._held.values())
        for who in reversed(list(self._wanted)):
            if self._total is None or held <= self._total:
                break
            found.append(who)
            held -= self._held[who]
        return found

    def _fits(self, who: int, wanted: int) -> bool:
        others = sum(held for one, held in self._held.items() if one != who)
        return self._total is None or others + wanted <= self._total


def opening_bytes(cell: Cell) -> int:
    """About what a process holds at most while it opens a cell's model, told by the files of its weights."""
    name = str(cell.settings.get("model", ""))
    try:
        path = Path(name).expanduser()
        found = [path] if is_model(path) else _brought(name)
        return PROCESS_BYTES + _OPENING * max(map(_weights, found), default=0)
    except (OSError, RuntimeError, ValueError):  # no folder's name; opening says so
        return PROCESS_BYTES


def _weights(path: Path) -> int:
    """Bytes of the files with weights in a model's folder, or of its one file."""
    files = [path] if path.is_file() else list(path.iterdir())
    return sum(one.stat().st_size for one in files if one.suffix.lower() in _WEIGHTS)


def _brought(name: str) -> list[Path]:
    """The folders of a model of the hub, each of a revision that was brought here before; none of what isn't one's."""
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    kept = f"models--{glob.escape(name.replace('/', '--'))}", f"models--*--{glob.escape(name)}"  # or without its owner
    return [folder for one in (kept if "/" not in name else kept[:1]) for folder in cache.glob(f"{one}/snapshots/*")]
