"""Several looks at a model on a task at once: what a researcher does first, before and after pruning."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from acdc.analysis.heads import HeadAttribution
from acdc.analysis.named import asked_heads, check_setting
from acdc.analysis.ov import OvSummary
from acdc.analysis.registry import ANALYSES, Analysis, asked_analyses
from acdc.analysis.result import Cell, Result, Table
from acdc.analysis.vocabulary import OvVocabulary
from acdc.asked import path
from acdc.circuit import Circuit
from acdc.displayed import Displayed
from acdc.engine.setting import Setting
from acdc.errors import RunFolderError, SettingsError
from acdc.explorer.seen import Likely
from acdc.export.plots import check_matplotlib
from acdc.nodescores import node_scores
from acdc.reading import kind_at
from acdc.waiting import waiting
from acdc.wording import one_line

#: Heads that looks at single heads take, if nobody names any; rows of a summary.
MOST_HEADS, ROWS = 6, 8
#: What is added to a table's columns where there is a circuit, and what stands there.
IN_CIRCUIT, YES = "in circuit", "yes"
_SOURCES, _WRITTEN = 3, 3  # of what a head reads; tokens that it raises, and that it lowers
_NODES = ("node", "activation")  # columns of names of nodes


@dataclass(frozen=True, repr=False, eq=False)
class Looks(Displayed, Mapping[str, Result]):
    """Looks by their names (:data:`acdc.analysis.registry.ANALYSES`), at one model on one set of prompts.

    Equal to others if all results are.

    Attributes:
        setting: model and prompts.
        results: what was found.
        left_out: why a look isn't there, by its name.
        circuit: whose nodes are marked in summaries, if one was given.
    """

    setting: Setting
    results: Mapping[str, Result]
    left_out: Mapping[str, str]
    circuit: Circuit | None = None
    _form: ClassVar = "figures:looks_form"

    def __getitem__(self, name: str) -> Result:
        return self.results[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        prompts = self.setting.prompts
        return f"Looks({', '.join(self.results)} at {self.setting.model.name!r} on {len(prompts)} of {prompts.task!r})"

    def table(self, name: str) -> Table:
        """The whole table of a look, with a column that says which nodes are in the circuit, if there is one."""
        return _marked(self.results[name].table(), self.circuit)

    def summary(self, name: str, rows: int = ROWS) -> Table:
        """The rows of a look's table that say the most, in its most telling columns.

        Args:
            name: of the look.
            rows: how many.
        """
        result = self.results[name]
        made = next((brief(result) for kind, brief in _BRIEF.items() if isinstance(result, kind)), None)
        table = self.table(name) if made is None else _marked(made, self.circuit)
        return summary_of(ANALYSES[name], table, rows)

    def save(self, folder: str | Path) -> list[Path]:
        """Write the table (CSV) and the plot (SVG) of each look into a folder, made if it isn't there.

        Returns:
            The files.

        Raises:
            RunFolderError: one is there already, or can't be written.
            AcdcError: matplotlib isn't installed.
        """
        check_folder(folder, self.results)
        place = Path(folder)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"can't make the folder {place}: {error.strerror}; choose another.") from error
        return [
            written
            for name, result in self.results.items()
            for written in (result.write_table(place / f"{name}.csv"), result.draw(place / f"{name}.svg"))
        ]


def look_at(
    setting: Setting,
    only: str | Iterable[str] | None = None,
    *,
    heads: str | Iterable[str] | None = None,
    circuit: Circuit | None = None,
) -> Looks:
    """Run looks, all or some.

    Args:
        setting: a model on prompts (:func:`acdc.set_up`).
        only: names of looks, in a list or with commas; by default all, and what doesn't suit the model or its prompts
            is left out and said.
        heads: for looks at single heads; by default those of the circuit that write the most, or the strongest by
            direct attribution.
        circuit: one of this model, whose nodes are marked.

    Raises:
        AcdcError: there is no such look or head, the circuit is of another model, or a look that was asked for doesn't
            suit the model or its prompts.
    """
    check_setting(setting)
    wanted = asked_analyses(only)
    if circuit is not None:
        setting.graph.check_same(circuit.graph)
    chosen = None if heads is None else [node.name for node in asked_heads(setting.graph, heads)]
    results: dict[str, Result] = {}
    left_out: dict[str, str] = {}
    for analysis in waiting(wanted, "looking"):
        options = {}
        if analysis.of_heads:
            chosen = _strongest_heads(setting, circuit) if chosen is None else chosen
            options = {"heads": chosen}
        try:
            results[analysis.name] = analysis.run(setting, **options)
        except SettingsError as error:
            if only is not None:
                raise
            left_out[analysis.name] = str(error)
    return Looks(setting, results, left_out, circuit)


def check_folder(folder: str | Path, names: Iterable[str]) -> None:
    """Raise :class:`AcdcError` where looks of these names can't be written into a folder, before they are run."""
    check_matplotlib()
    if not str(folder).strip():
        raise RunFolderError("the folder's name is empty; give another with `out`.")
    place = path("out", folder)
    if (kind := kind_at(place)) not in (None, "a folder"):
        raise RunFolderError(f"can't write into {place}: it is {kind}; choose another folder with `out`.")
    there = next((one for one in (place, *place.parents) if one.exists()), place)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = "may not be written into" if there.is_dir() else "is no folder"
        raise RunFolderError(f"can't write into {place}: {there} {why}; choose another folder with `out`.")
    for name in names:
        for file in (place / f"{name}.csv", place / f"{name}.svg"):
            if kind_at(file) is not None:
                raise RunFolderError(f"{file} exists already; choose another folder with `out`.")


def summary_of(analysis: Analysis, table: Table, rows: int = ROWS) -> Table:
    """See :meth:`Looks.summary`."""
    if analysis.together is not None:
        return _together(table, analysis.together)
    columns = [name for name in (*analysis.columns, IN_CIRCUIT) if name in table.columns]
    places = [table.columns.index(name) for name in columns]
    chosen = list(table.rows)
    if analysis.last is not None:
        prompt, at = table.columns.index("prompt"), table.columns.index(analysis.last)
        ends: dict[Cell, float] = {}
        for row in chosen:
            ends[row[prompt]] = max(ends.get(row[prompt], 0.0), _size(row[at]))
        chosen = [row for row in chosen if _size(row[at]) == ends[row[prompt]]]
    if analysis.by is None:
        shown = np.linspace(0, max(0, len(chosen) - 1), min(rows, len(chosen))).round().astype(int)
        chosen = [chosen[i] for i in shown]
    else:
        at = table.columns.index(analysis.by)
        chosen = sorted(chosen, key=lambda row: -_size(row[at]))
    if analysis.each is not None:
        chosen = _in_turns(chosen, table.columns.index(analysis.each))
    return Table(tuple(columns), [tuple(row[place] for place in places) for row in chosen[:rows]])


def _in_turns(rows: Sequence[tuple[Cell, ...]], at: int) -> list[tuple[Cell, ...]]:
    """The first row of every value of a column, then every second one, and so on."""
    seen: dict[Cell, int] = {}
    turns = []
    for row in rows:
        turns.append(seen.get(row[at], 0))
        seen[row[at]] = turns[-1] + 1
    return [rows[i] for i in sorted(range(len(rows)), key=turns.__getitem__)]


def _together(table: Table, column: str) -> Table:
    """The values of a column with the nodes that have them; nodes without a value are left out."""
    at, node = table.columns.index(column), table.columns.index("node")
    nodes: dict[Cell, list[str]] = {}
    for row in table.rows:
        if row[at]:
            is_in = IN_CIRCUIT in table.columns and row[table.columns.index(IN_CIRCUIT)] == YES
            nodes.setdefault(row[at], []).append(f"{row[node]}*" if is_in else str(row[node]))
    marked = "nodes (*: in circuit)" if IN_CIRCUIT in table.columns else "nodes"
    rows = [
        (value, len(names), " ".join(names)) for value, names in sorted(nodes.items(), key=lambda item: str(item[0]))
    ]
    return Table((column, "how many", marked), rows)


def _by_head(found: HeadAttribution) -> Table:
    """A row a head: its direct share, and the nodes that wrote the most of what it reads."""
    rows: list[tuple[Cell, ...]] = []
    for at, head in enumerate(found.heads):
        sources = [
            ", ".join(f"{node} {share:.3g}" for node, share in found.strongest(head, letter, _SOURCES))
            for letter in "vqk"
        ]
        rows.append((head, float(found.value.total[at].mean()), *sources))
    return Table(ANALYSES["heads"].columns, rows)


def _by_source(found: OvSummary) -> Table:
    """A row a head, prompt and source token: how much it looks there, and what it raises and lowers the most."""
    rows: list[tuple[Cell, ...]] = []
    for at, row in np.ndindex(len(found.heads), len(found.prompts)):
        head, prompt = found.heads[at], found.prompts[row]
        tokens = zip(found.pairs[row].tokens, found.of(head, prompt), found.lowest_of(head, prompt), strict=True)
        for place, (token, raised, lowered) in enumerate(tokens):
            ends = (_signed(raised, 1), _signed(lowered, -1))
            rows.append((head, prompt, token.clean, float(found.weights[at, row, place]), *ends))
    return Table(ANALYSES["ov"].columns, rows)


def _signed(written: Sequence[Likely], sign: int) -> str:
    """The first of what is written that goes this way."""
    some = [one for one in written[:_WRITTEN] if sign * one.value > 0]
    return ", ".join(f"{one_line(one.token)} {one.value:+.3g}" for one in some)


def _by_copying(found: OvVocabulary) -> Table:
    """A row a head: of how many tokens of the vocabulary its OV circuit raises, or lowers, the token itself."""
    shares = zip(found.heads, found.copied(), found.suppressed(), strict=True)
    rows = [(head, len(found.tokens), float(copied), float(suppressed)) for head, copied, suppressed in shares]
    return Table(ANALYSES["ov-vocabulary"].columns, rows)


#: Results whose whole tables don't say in a few rows what they say.
_BRIEF: Mapping[type[Result], Callable[[Any], Table]] = {
    HeadAttribution: _by_head,
    OvSummary: _by_source,
    OvVocabulary: _by_copying,
}


def _size(cell: Cell) -> float:
    return abs(float(cell)) if isinstance(cell, int | float) and not np.isnan(cell) else -1.0


def _marked(table: Table, circuit: Circuit | None) -> Table:
    at = next((table.columns.index(name) for name in _NODES if name in table.columns), None)
    if circuit is None or at is None:
        return table
    known, live = {node.name for node in circuit.graph.nodes}, {node.name for node in circuit.nodes()}
    if not any(row[at] in known for row in table.rows):
        return table
    marks = [YES if row[at] in live else "" for row in table.rows]
    rows = [(*row, mark) for row, mark in zip(table.rows, marks, strict=True)]
    return Table((*table.columns, IN_CIRCUIT), rows)


def _strongest_heads(setting: Setting, circuit: Circuit | None) -> list[str]:
    """The heads that are looked at one by one: a circuit's, or those of the largest direct attribution."""
    heads = [node for node in setting.graph.nodes if node.kind == "head"]
    if circuit is not None and (writing := [node for node in node_scores(circuit).strongest() if node.kind == "head"]):
        return [node.name for node in writing[:MOST_HEADS]]
    from acdc.analysis.direct import direct_attribution

    try:
        sizes = np.abs(direct_attribution(setting).difference.mean(1))
    except SettingsError:  # no answers; the last layers are where answers come from
        return [node.name for node in heads[-MOST_HEADS:]]
    return [node.name for node in sorted(heads, key=lambda node: -sizes[node.index])[:MOST_HEADS]]
