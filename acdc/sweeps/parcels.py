"""The files that a cell names: whether another machine has the same, and their way there if it hasn't.

A model's folder, a prompt file and what a template reads are used where they are, if the worker's machine has the same
files under the same path. Else they are sent, unpacked once a machine under the digest of what is in them, and what is
written meanwhile names them as the cell does.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acdc.circuit import load_own
from acdc.errors import RunFolderError
from acdc.pairs.finding import file_of, word_files
from acdc.runs.folder import CIRCUIT, RECORD
from acdc.runs.seal import record_digest
from acdc.sweeps.cells import Cell

#: Settings that may name files.
_NAMING = ("model", "task")


@dataclass(frozen=True)
class Part:
    """A file of a parcel: its path below the parcel's root, and what tells quickly that another is the same."""

    name: str
    size: int
    stamp: tuple[int, int]  # when it was written, and its number on the disk, which machines that share it agree on

    @classmethod
    def of(cls, root: Path, name: str) -> Part:
        """Look at a file. Raises :class:`OSError`."""
        found = (root / name).stat()
        return cls(name, found.st_size, (found.st_mtime_ns, found.st_ino))


@dataclass(frozen=True)
class Parcel:
    """What a setting of a cell names, if that is files.

    Attributes:
        setting: the setting's name.
        given: its value.
        root: the folder that holds all files, absolute.
        inside: what the value names of it: a path below the root, and for a task's class ``:CLASS`` behind it.
        parts: the files.
    """

    setting: str
    given: str
    root: str
    inside: str
    parts: tuple[Part, ...]

    @property
    def digests(self) -> tuple[str, ...]:
        """Hex SHA-256 of each file, in order. Raises :class:`OSError`."""
        return tuple(_sha256(Path(self.root, part.name)) for part in self.parts)

    def at(self, root: Path) -> str:
        """What names it where its files are below another root."""
        return str(root / self.inside) if self.inside else str(root)

    def is_here(self) -> bool:
        """Whether these very files are on this machine under the same path."""
        try:
            return all(Part.of(Path(self.root), part.name) == part for part in self.parts)
        except OSError:
            return False

    def is_alike_here(self, digests: Sequence[str]) -> bool:
        """Whether files with the same in them are on this machine under the same path."""
        try:
            sizes = [Part.of(Path(self.root), part.name).size for part in self.parts]
            return sizes == [part.size for part in self.parts] and tuple(digests) == self.digests
        except OSError:
            return False


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def parcels_of(cell: Cell) -> tuple[Parcel, ...]:
    """The files that a cell names; those that can't be read aren't among them, and the cell says so when it runs."""
    found = []
    for setting in _NAMING:
        given = cell.settings.get(setting)
        try:
            made = _parcel(setting, given) if isinstance(given, str) else None
        except (OSError, RuntimeError, ValueError):  # ~ of no known user, a name that no file has
            made = None
        if made is not None:
            found.append(made)
    return tuple(found)


def _parcel(setting: str, given: str) -> Parcel | None:
    if setting == "model":
        path = Path(given).expanduser().absolute()
        if path.is_dir():
            files = sorted(entry.name for entry in path.iterdir() if entry.is_file())
            return Parcel(setting, given, str(path), "", tuple(Part.of(path, name) for name in files))
        return _of_files(setting, given, path, [path], "") if path.is_file() else None
    file = file_of(given)
    if file is None or not file.is_file():
        return None
    path = file.expanduser().absolute()
    others = [Path(other).absolute() for other in word_files(given)]
    return _of_files(setting, given, path, [path, *others], given.removeprefix(str(file)))


def _of_files(setting: str, given: str, path: Path, files: list[Path], behind: str) -> Parcel:
    root = Path(os.path.commonpath([file.parent for file in files]))
    names = [str(file.relative_to(root)) for file in files]
    inside = str(path.relative_to(root)) + behind
    return Parcel(setting, given, str(root), inside, tuple(Part.of(root, name) for name in names))


def unpacked(parcel: Parcel, digests: Sequence[str], contents: Any, shelf: Path) -> Path:
    """Where a parcel's files are on this machine, which are written there unless they are already.

    Args:
        parcel: the parcel.
        digests: of its files.
        contents: a function that gives what is in a file, by its number.
        shelf: the folder that this machine keeps such files in.

    Raises:
        RunFolderError: they can't be written, for a full disk for example.
    """
    names = [part.name for part in parcel.parts]
    place = shelf / hashlib.sha256(json.dumps([names, list(digests)]).encode()).hexdigest()[:24]
    if place.is_dir():
        return place
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=shelf))
        for number, name in enumerate(names):
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            (scratch / name).write_bytes(contents(number))
        try:
            scratch.rename(place)
        except OSError:  # another worker of this machine was first
            shutil.rmtree(scratch, ignore_errors=True)
            if not place.is_dir():
                raise
    except OSError as error:
        raise RunFolderError(
            f"{parcel.given} can't be unpacked in {shelf} of a worker: {error.strerror}; make room there, or set "
            "TMPDIR of the cluster."
        ) from error
    return place


def renamed(text: str, names: Mapping[str, str]) -> str:
    """A text with what things are called here replaced by what they are called there."""
    for here, there in sorted(names.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(here, there)
    return text


def packed(run: Path, names: Mapping[str, str]) -> dict[str, bytes]:
    """The files of a run that has just finished, by name; what they name is named as elsewhere.

    Args:
        run: its folder, in which they are written anew.
        names: what is called otherwise there, by what it is called here. The circuit and the record are sealed with it.
    """
    circuit = load_own(run / CIRCUIT)
    text = {name: renamed(value, names) for name, value in vars(circuit.found).items() if isinstance(value, str)}
    circuit = circuit.measured(**text)
    circuit.save(run / CIRCUIT)
    record = _renamed_in(json.loads((run / RECORD).read_bytes()), names)
    record["circuit"] = circuit.found.fingerprint
    record["fingerprint"] = record_digest(record)
    (run / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return {file.name: file.read_bytes() for file in sorted(run.iterdir()) if file.is_file()}


def _renamed_in(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed_in(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [_renamed_in(one, names) for one in value]
    return renamed(value, names) if isinstance(value, str) else value


def put(files: Mapping[str, bytes], run: Path, scratch: Path) -> None:
    """Write a run that came back from elsewhere, whole or not at all; one that was begun there gives way.

    Args:
        files: what is in them by name.
        run: the run's folder.
        scratch: a folder on the same disk that may be written and replaced.

    Raises:
        RunFolderError: they can't be written.
    """
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        for name, content in files.items():
            with (scratch / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if run.is_dir() and not run.is_symlink():
            shutil.rmtree(run)
        scratch.rename(run)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise RunFolderError(f"can't write {run}: {error.strerror}.") from error
