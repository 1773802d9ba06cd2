"""What models there are by name, and what is known of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from acdc.bundled import bundled_models
from acdc.knownmodels.cache import cached_models
from acdc.knownmodels.wheels import WHEELS
from acdc.planted import planted, planted_names
from acdc.reading import read_regular
from acdc.wording import shortened

Kind = Literal["bundled", "planted", "trained", "fetched"]
_MOST_BYTES = 1 << 20  # of a model's card
_LONGEST = 300  # characters of what is said of a model
#: A figure in a card's table: | ioi | test | 100.0% | ...
_ROW = re.compile(r"^\|\s*`?([a-z][a-z0-9_]*)`?\s*\|.*\d", re.MULTILINE)


@dataclass(frozen=True)
class KnownModel:
    """A model that opens by its name, or would if it were fetched.

    Attributes:
        name: what it is called.
        kind: ``bundled`` comes with acdc, ``planted`` is made on the spot, ``trained`` was written into the cache
            folder by a script, ``fetched`` is taken from the package index.
        summary: what is known of it, in one line.
        tasks: names that its card has figures for.
        checkpoints: names of those of its training, in order.
        folder: where it lies; ``None`` where it is made on the spot or isn't there yet.
        how: the command that brings it where it isn't there; else empty.
    """

    name: str
    kind: Kind
    summary: str
    tasks: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()
    folder: Path | None = None
    how: str = ""


def known_models() -> dict[str, KnownModel]:
    """Every model that is known by name; checkpoints are their model's."""
    found = dict(_in_folders(bundled_models(), "bundled"))
    own = _in_folders(cached_models(), "trained")
    found |= {name: one for name, one in own if name not in found and name not in WHEELS}
    for name in planted_names():
        made = planted(name)
        found[name] = KnownModel(name, "planted", made.summary, (made.task,))
    for name, wheel in WHEELS.items():
        folder = cached_models().get(name)
        how = "" if folder else fetch_command(name)
        found[name] = KnownModel(name, "fetched", wheel.summary, folder=folder, how=how)
    return found


def folders() -> dict[str, Path]:
    """Every name that a folder of a model or checkpoint has, bundled ones before those in the cache folder."""
    return {**cached_models(), **bundled_models()}


def fetch_command(name: str) -> str:
    """What to type to have a model that isn't there yet."""
    return f"acdc models fetch {name}"


def _in_folders(folders: dict[str, Path], kind: Kind) -> Iterator[tuple[str, KnownModel]]:
    for name, folder in folders.items():
        if "/" not in name or name.partition("/")[0] not in folders:
            steps = tuple(other for other in folders if other.startswith(f"{name}/"))
            summary, tasks = _card(folder / "README.md")
            yield name, KnownModel(name, kind, summary, tasks, steps, folder)


def _card(path: Path) -> tuple[str, tuple[str, ...]]:
    """The first sentence of a model's card, and the tasks that a table in it has figures for."""
    try:
        text = read_regular(path, at_most=_MOST_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return "it has no card", ()
    text = re.sub(r"\A---\n.*?\n---\n", "", text.replace("\r\n", "\n"), flags=re.DOTALL)
    paragraphs = (part.strip() for part in text.split("\n\n"))
    first = next((part for part in paragraphs if part and part[0] not in "#|<!-"), "its card says nothing")
    sentence = re.split(r"(?<=[.!?])\s", " ".join(first.split()), maxsplit=1)[0]
    return shortened(sentence, _LONGEST), tuple(dict.fromkeys(_ROW.findall(text)))
