"""How alike two lists of scores rank their edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FEWEST = 3  # of two edges, any ranking is the same or the opposite


@dataclass(frozen=True)
class Correlation:
    """Rank correlation of the scores of edges.

    Attributes:
        n_edges: edges that it is over: those with a number in both lists, 0 in at most one. (An edge that
            ACDC didn't try has the score 0, and that neither tried it says nothing of the scores.)
        spearman: Spearman's rho, equal scores sharing their ranks; ``None`` where it isn't defined.
        kendall: Kendall's tau-b, likewise.
        why: why they aren't defined, as a clause; else ``None``.
    """

    n_edges: int
    spearman: float | None
    kendall: float | None
    why: str | None = None


def correlation(first: np.ndarray, second: np.ndarray) -> Correlation:
    """Rank correlation of two methods' scores of the same edges, with their signs.

    Args:
        first: ``[n_edges]``; NaN, infinity: no score.
        second: likewise.
    """
    a, b = _scored(first, second)
    if (why := _why_not(a, b)) is not None:
        return Correlation(len(a), None, None, why)
    from scipy import stats

    return Correlation(len(a), _spearman(a, b), float(stats.kendalltau(a, b).statistic))


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Only the first of :func:`correlation`, a tenth of its work; ``None`` where it isn't defined."""
    a, b = _scored(first, second)
    return _spearman(a, b) if _why_not(a, b) is None else None


def _scored(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with_score = np.isfinite(first) & np.isfinite(second) & ((first != 0) | (second != 0))
    return first[with_score], second[with_score]


def _why_not(a: np.ndarray, b: np.ndarray) -> str | None:
    if len(a) < _FEWEST:
        return f"fewer than {_FEWEST} edges have scores in both"
    for scores, which in ((a, "first"), (b, "second")):
        if (scores == scores[0]).all():
            return f"the scores of the {which} are all alike"
    return None


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    from scipy import stats

    return float(stats.spearmanr(a, b).statistic)
