"""Hidden units of MLPs as data: a score and a choice for each, and the table that they are written as.

See :mod:`acdc.engine.hidden_units` for what they are. Nothing here imports torch.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acdc.errors import CircuitFileError, SettingsError
from acdc.files import atomic_write
from acdc.reading import read_regular
from acdc.selection import Above, Selection, Top, ranked
from acdc.wording import counted, quoted

_COLUMNS = ("layer", "unit", "score", "kept")
_MOST_BYTES = 2**28
_KEPT = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, eq=False)
class HiddenUnits:
    """The hidden units of a model's MLPs.

    Attributes:
        scores: ``[n_layers, d_mlp]`` float64, how much the metric is expected to rise without each; unknown: NaN.
        kept: ``[n_layers, d_mlp]`` bool, those that are chosen.
    """

    scores: np.ndarray
    kept: np.ndarray

    def __post_init__(self) -> None:
        shapes = [getattr(each, "shape", None) for each in (self.scores, self.kept)]
        if shapes[0] != shapes[1] or len(shapes[0] or ()) != 2 or self.kept.dtype != bool:
            raise SettingsError(
                "hidden units are an array of scores and a boolean one of those kept, both [n_layers, d_mlp], not of "
                f"the shapes {shapes[0]} and {shapes[1]}."
            )

    def __repr__(self) -> str:
        return f"HiddenUnits({self.n_kept:,} of {self.kept.size:,} in {counted(len(self.kept), 'layer')})"

    @property
    def n_kept(self) -> int:
        """How many are chosen."""
        return int(self.kept.sum())

    @classmethod
    def chosen(cls, scores: np.ndarray, selection: Selection) -> HiddenUnits:
        """Those that a rule chooses by their scores; of equal ones the lower layer's goes first, then the lower number.

        Args:
            scores: ``[n_layers, d_mlp]``.
            selection: :class:`acdc.selection.Top` (so many units) or :class:`acdc.selection.Above`.

        Raises:
            SettingsError: another rule, more units than there are, or a score that is no number.
        """
        check_rule(selection)
        if isinstance(selection, Top) and selection.n > scores.size:
            raise SettingsError(
                f"a selection of {selection.n:,} hidden units is more than the {scores.size:,} of the model; ask for "
                "fewer."
            )
        if (unknown := ~np.isfinite(scores)).any():
            layer, unit = np.argwhere(unknown)[0].tolist()
            raise SettingsError(
                f"the score of hidden unit {unit} of layer {layer} is no number, so they can't be ranked; compute them "
                "again."
            )
        return cls(scores, ranked(scores.ravel(), selection).reshape(scores.shape))

    def strongest(self, n: int | None = None) -> list[tuple[int, int]]:
        """Layer and number of those kept, by the size of their score, or `n` of them; ties in order."""
        at = np.flatnonzero(self.kept.ravel())
        order = np.argsort(-np.abs(self.scores.ravel()[at]), kind="stable")
        return [(int(place) // self.kept.shape[1], int(place) % self.kept.shape[1]) for place in at[order[:n]]]

    def save(self, path: str | Path) -> None:
        """Write them as CSV: ``layer,unit,score,kept``, a line for each unit of every layer.

        Raises:
            RunFolderError: the file can't be written.
        """
        with atomic_write(Path(path)) as file:
            file.write(f"{','.join(_COLUMNS)}\n")
            for layer, (scores, kept) in enumerate(zip(self.scores.tolist(), self.kept.tolist(), strict=True)):
                rows = enumerate(zip(scores, kept, strict=True))
                file.writelines(
                    f"{layer},{unit},{'' if math.isnan(score) else repr(score)},{'true' if is_kept else 'false'}\n"
                    for unit, (score, is_kept) in rows
                )

    @classmethod
    def load(cls, path: str | Path) -> HiddenUnits:
        """Read what :meth:`save` has written, lines in any order.

        Raises:
            CircuitFileError: it can't be read or isn't such a table; names the line.
        """
        path = Path(path)
        try:
            text = read_regular(path, at_most=_MOST_BYTES).decode("utf-8-sig")
        except OSError as error:
            raise CircuitFileError(f"can't read {path}: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise CircuitFileError(f"{path} is no table of hidden units: it isn't text in UTF-8.") from error
        return _table(path, text)


def check_rule(selection: Any) -> None:
    """Raise :class:`SettingsError` unless a rule can choose hidden units."""
    if not isinstance(selection, Top | Above) or selection.level != "edges":
        raise SettingsError(
            "hidden units are chosen by Top or Above of acdc.selection, e.g. Top(100), without a level of the graph."
        )


def _table(path: Path, text: str) -> HiddenUnits:
    lines = csv.reader(io.StringIO(text, newline=""))
    found: dict[tuple[int, int], tuple[float, bool]] = {}
    try:
        if tuple(next(lines, ())) != _COLUMNS:
            raise ValueError(f"it must say {','.join(_COLUMNS)}")
        for row in lines:
            if not row:
                continue
            layer, unit, score, kept = _row(row)
            if (layer, unit) in found:
                raise ValueError(f"hidden unit {unit} of layer {layer} stands there already")
            found[layer, unit] = score, kept
    except (ValueError, csv.Error) as error:
        raise CircuitFileError(
            f"{path}, line {max(1, lines.line_num)}: no table of hidden units: {str(error).rstrip('.')}."
        ) from error
    if not found:
        raise CircuitFileError(f"{path} is an empty table of hidden units.")
    n_layers, width = (1 + max(each) for each in zip(*found, strict=True))
    if n_layers * width != len(found):
        raise CircuitFileError(
            f"{path} lists {len(found):,} hidden units, and {n_layers} layers of {width:,} have {n_layers * width:,}; "
            "it must list every one of them, with false for those that aren't kept."
        )
    scores, chosen = np.empty((n_layers, width)), np.empty((n_layers, width), dtype=bool)
    for place, (number, is_kept) in found.items():
        scores[place], chosen[place] = number, is_kept
    return HiddenUnits(scores, chosen)


def _row(row: list[str]) -> tuple[int, int, float, bool]:
    """One line's values. Raises :class:`ValueError`."""
    if len(row) != len(_COLUMNS):
        raise ValueError(f"{len(row)} values in place of {len(_COLUMNS)}")
    layer, unit, score, kept = (part.strip() for part in row)
    for name, value in (("layer", layer), ("unit", unit)):
        if not (value.isascii() and value.isdigit() and len(value) < 10):
            raise ValueError(f"the {name} must be a number from 0 up, not {quoted(value)}")
    if kept.lower() not in _KEPT:
        raise ValueError(f"kept must be true or false, not {quoted(kept)}")
    try:
        number = float(score) if score else math.nan
    except ValueError:
        raise ValueError(f"the score must be a number, not {quoted(score)}") from None
    return int(layer), int(unit), number, _KEPT[kept.lower()]
