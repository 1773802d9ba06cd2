"""``acdc export --format mib``: circuits as the MIB benchmark's leaderboard takes them, and such a folder checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acdc.cli.printing import say
from acdc.cli.sources import circuit_at

if TYPE_CHECKING:
    from acdc.circuit import Circuit

MIB = "mib"


def export_mib(circuits: Sequence[Path], out: Path | None, name: str | None, **others: Any) -> None:
    """Write circuits into a folder, each task and model a folder of its own; without `out`, check one that is there.

    Args:
        circuits: run folders or circuit files; or the one folder to check.
        out: the folder, which may hold other tasks and models already.
        name: ``TASK_MODEL`` of all.
        others: options of other formats.

    Raises:
        AcdcError: as :func:`acdc.export.mib.write_submission` and :func:`acdc.interchange.read_submission`.
    """
    from acdc.errors import SettingsError
    from acdc.export.mib import mib_name, name_of, warn_of_few, write_submission
    from acdc.interchange import read_submission

    for option, value in others.items():
        if value not in (None, ()):
            raise SettingsError(f"a folder for MIB has no `{option}`; leave it out.")
    if out is None:
        if len(circuits) > 1:
            raise SettingsError("give the folder to write by --out.")
        for held, found in read_submission(circuits[0]).items():
            say(f"{held}: {_what(found)}")
        return
    given: dict[str, list[Circuit]] = {}
    whole = None if name is None else mib_name(name)
    for path in circuits:
        circuit = circuit_at(path)
        given.setdefault(whole or name_of(circuit, str(path)), []).append(circuit)
    for path in write_submission(out, given):
        say(path)
    warn_of_few(_inside(out, given), out)


def _what(circuits: Sequence[Circuit]) -> str:
    if len(circuits) == 1:
        return f"importances of {circuits[0].graph.n_edges:,} edges"
    return f"{len(circuits)} circuits of {circuits[0].n_edges:,} to {circuits[-1].n_edges:,} edges"


def _inside(folder: Path, given: Mapping[str, Any]) -> list[str]:
    """The folders by task and model, those that were there before too."""
    from acdc.errors import AcdcError
    from acdc.export.mib import mib_name

    found = set(given)
    for path in folder.iterdir():
        try:
            found.add(mib_name(path.name))
        except AcdcError:  # something else
            continue
    return sorted(found)
