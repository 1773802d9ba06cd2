"""What a page is to show: a run or a circuit, by whatever it was given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acdc.asked import path as asked_path
from acdc.asked import shown
from acdc.circuit import Circuit, load_own
from acdc.errors import NoGraphError, RunFolderError, SettingsError
from acdc.export.summary import known_title
from acdc.interchange.opening import kind_of, open_circuit
from acdc.runs.folder import CIRCUIT, is_regular
from acdc.runs.run import Run
from acdc.wording import one_line

if TYPE_CHECKING:
    from acdc.graph import Graph

#: The file that a page is written into, in a run's folder.
PAGE = "view.html"


@dataclass(frozen=True)
class Subject:
    """One of the one or two things that a page shows.

    Attributes:
        label: what the page calls it.
        circuit: itself.
        run: the run that found it, if that is known.
        folder: the run's.
        page: where the page is written, if nobody says otherwise; ``None`` for what has no place on disk.
        missing: what can't be shown and why, a sentence each.
    """

    label: str
    circuit: Circuit
    run: Run | None = None
    folder: Path | None = None
    page: Path | None = None
    missing: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """``ioi on gpt2``, as far as that is known; else its label."""
        return known_title(self.circuit.found) or self.label


def subject(given: Any, graph: Graph | None = None) -> Subject:
    """Open what is given.

    A run's folder whose record or trace can't be used is shown as the circuit that lies in it.

    Args:
        given: a circuit, a run, or the path of a run's folder or of a file that
            :func:`acdc.interchange.open_circuit` opens.
        graph: of the model, for a list of edges, which doesn't say it.

    Raises:
        SettingsError: it is none of these.
        RunFolderError: a folder that isn't a finished run's, and has no circuit either.
        CircuitFileError: a file that can't be read as a circuit.
    """
    if isinstance(given, Circuit):
        return Subject(known_title(given.found) or "the circuit", given)
    if isinstance(given, Run):
        label = known_title(given.circuit.found) if given.folder is None else given.folder.resolve().name
        page = None if given.folder is None else given.folder / PAGE
        return Subject(one_line(label or "the run"), given.circuit, given, given.folder, page)
    if not isinstance(given, str | Path):
        raise SettingsError(f"a run, a circuit or a path is wanted, not {shown(given)}.")
    place = asked_path("run", given)
    if kind_of(place) == "folder":
        return _of_folder(place if place.is_dir() else place.parent)
    try:
        circuit = open_circuit(place, graph=graph)
    except NoGraphError as error:
        raise NoGraphError(error.what, "give the `model` that it is of") from error
    return Subject(one_line(place.name), circuit, page=place.with_name(f"{place.stem}.{PAGE}"))


def _of_folder(folder: Path) -> Subject:
    try:
        return subject(Run.load(folder))
    except RunFolderError as error:
        if not is_regular(folder / CIRCUIT):
            raise
        what = f"{error} What follows is the circuit of {folder / CIRCUIT} alone, without the run's figures and trace."
    circuit = load_own(folder / CIRCUIT)
    return Subject(one_line(folder.resolve().name), circuit, page=folder / PAGE, missing=(what,))
