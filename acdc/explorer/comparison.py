"""Two circuits held against each other, as tables of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acdc.circuit import Circuit
from acdc.comparison import Comparison, Correlation, Overlap
from acdc.comparison.comparison import share
from acdc.comparison.found import OF_METHOD, own_of_method
from acdc.errors import SettingsError
from acdc.explorer.evidence import sentences, table
from acdc.export.summary import printable
from acdc.wording import counted, quoted, shortened

_LONGEST = 60  # characters of a value
#: Hashes, which nobody reads beside each other.
_HASHES = ("data_sha256", "model_sha256", "held_out_sha256")


def comparison_tables(first: Circuit, second: Circuit) -> list[dict[str, Any]]:
    """What two circuits, called A and B, share, how alike they rank edges, and in what they were found otherwise.

    Args:
        first: a circuit.
        second: another one of a graph of the same shape.

    Returns:
        Tables as :func:`acdc.explorer.evidence.evidence` gives them.

    Raises:
        SettingsError: they are of different graphs; says which sizes differ.
    """
    found = Comparison((first, second), (None, None))
    pair = found.pair
    if pair is None:
        raise SettingsError("two circuits are compared; give two.")
    rows = [_row("nodes", pair.nodes), _row("edges", pair.edges)]
    rows += [_row(f"into {name}", overlap) for name, overlap in pair.by_layer.items()]
    rows += [_row(name, overlap) for name, overlap in pair.by_kind.items()]
    columns = ("", "A", "B", "both", "only A", "only B", "Jaccard")
    return [
        sentences("In a word", [*found.sentences(), _correlation(pair.scores)]),
        table("In both, and in one", columns, rows),
        *([table("Found otherwise", ("", "A", "B"), differing)] if (differing := _differences(found)) else []),
    ]


def _row(name: str, found: Overlap) -> tuple[str, ...]:
    counts = (found.first, found.second, found.both, found.only_first, found.only_second)
    return (name, *(f"{count:,}" for count in counts), share(found.jaccard))


def _correlation(scores: Correlation) -> str:
    if scores.spearman is None or scores.kendall is None:
        return f"Rank correlation of the scores is not defined: {scores.why}."
    return (
        f"Over {counted(scores.n_edges, 'edge')} the rank correlation of their scores is {scores.spearman:.2f} "
        f"(Spearman), {scores.kendall:.2f} (Kendall)."
    )


def _differences(found: Comparison) -> list[tuple[str, ...]]:
    """Fields that aren't alike, and what only the one's method has."""
    rows = [
        (name.replace("_", " "), *map(_value, values))
        for name, values in found.differences.items()
        if name not in (*_HASHES, "edited_from")
    ]
    own = own_of_method(found.circuits)
    if any(own):
        rows.append(("of the method", *(_value(options) if options else "" for options in own)))
    return rows


def _value(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return shortened(
            ", ".join(f"{name.removesuffix(OF_METHOD)} {_value(entry)}" for name, entry in value.items()), _LONGEST
        )
    return shortened(printable(value if isinstance(value, str) else quoted(value)), _LONGEST)
