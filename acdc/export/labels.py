"""Labels of nodes, for diagrams: what each does, in a few words, by whoever looked."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from acdc.asked import shown
from acdc.errors import SettingsError, UnknownNameError
from acdc.export.summary import printable
from acdc.graph import Graph
from acdc.reading import read_regular
from acdc.wording import quoted, shortened

#: The columns that a file of labels needs; others may stand beside them.
NODE, LABEL = "node", "label"
_LARGEST = 1 << 24  # bytes of a file
_LONGEST = 40  # characters of a label


def labels_of(graph: Graph, given: Mapping[str, str] | str | Path | Any) -> dict[str, str]:
    """Labels by the nodes' names, as they are given or as a file says them; nodes of an empty one are left out.

    A file is CSV with a header, of the columns :data:`NODE` and :data:`LABEL` and whatever else: the table of
    :func:`acdc.analysis.detectors.head_detectors` is one.

    Args:
        graph: whose nodes they are.
        given: a mapping, or the path of a file.

    Raises:
        UnknownNameError: there is no such node; names file and line.
        SettingsError: it is neither, a label isn't text, the file can't be read as such a table, or a node has two
            labels there.
    """
    if isinstance(given, str | Path):
        return _read(graph, Path(given))
    if not isinstance(given, Mapping):
        raise SettingsError(f"`labels` must be a mapping of nodes to labels, or a file of them, not {shown(given)}.")
    found: dict[str, str] = {}
    for name, label in given.items():
        if not isinstance(name, str) or not isinstance(label, str):
            raise SettingsError(
                f"`labels` must name nodes and label them by text, not {shown(name)} by {shown(label)}."
            )
        _put(found, graph, name, label, "`labels`: ")
    return found


def grouped(labels: Mapping[str, str], nodes: Collection[str]) -> dict[str, list[str]]:
    """The nodes of each label that are among `nodes`; labels of the most nodes first, among equals by their text."""
    shown = {name: label for name, label in labels.items() if name in nodes}
    counts = Counter(shown.values())
    order = sorted(counts, key=lambda label: (-counts[label], label))
    return {label: [name for name, own in shown.items() if own == label] for label in order}


def _read(graph: Graph, path: Path) -> dict[str, str]:
    try:
        text = read_regular(path, at_most=_LARGEST).decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"can't read the labels {path}: {error.strerror}; give another file.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"the labels {path} aren't text in UTF-8; save them as such.") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: dict[str, str] = {}
    try:
        columns = next(rows, [])
        node, label = (_column(path, columns, name) for name in (NODE, LABEL))
        for row in rows:
            if not "".join(row).strip():
                continue
            where = f"{path}, line {rows.line_num}: "
            if len(row) != len(columns):
                raise SettingsError(f"{where}{len(row)} values for {len(columns)} columns; a row has one for each.")
            _put(found, graph, row[node].strip(), row[label], where)
    except csv.Error as error:
        raise SettingsError(f"{path}, line {max(rows.line_num, 1)}: this is not CSV: {error}.") from error
    return found


def _column(path: Path, columns: list[str], name: str) -> int:
    """Where a column stands. Raises :class:`SettingsError`."""
    if columns.count(name) == 1:
        return columns.index(name)
    said = "is there twice" if name in columns else "is missing"
    raise SettingsError(
        f"{path}, line 1: the column {quoted(name)} {said}; a file of labels is CSV whose first line names the columns "
        f"{NODE} and {LABEL}, separated by commas."
    )


def _put(found: dict[str, str], graph: Graph, name: str, label: str, where: str) -> None:
    """Add a label, if there is one, to those found. Raises for a bad node or a second label."""
    if name not in (names := {node.name for node in graph.nodes}):
        raise UnknownNameError("node", name, names, where)
    said = shortened(printable(label.strip()), _LONGEST)
    if found.get(name, said) != said:
        raise SettingsError(f"{where}{name} has two labels, {quoted(found[name])} and {quoted(said)}; keep one.")
    if said:
        found[name] = said
