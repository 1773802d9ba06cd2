"""The statistics of hypothesis tests on circuits: from scores of prompts to p-values.

Source: Shi et al. 2024 (arXiv 2410.13032). Where its code does otherwise than the paper says or than a test can bear,
this follows the paper: equivalence is judged by the share of prompts, of which ties are none; each variable's kernel
has a bandwidth of its own; a permutation's p-value is never 0; p-values of many edges are corrected. Nothing here
imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Circuits that a circuit is compared with, and the share of them that it must stand out from.
N_RANDOM, QUANTILE = 100, 0.9
#: How far from one half the share of prompts may be that a circuit of the same worth is better on.
MARGIN = 0.1
_PERMUTATIONS = 1000


def equivalence(better: int, worse: int) -> float:
    """Of the hypothesis that a circuit does better than its model on a share of prompts within :data:`MARGIN` of 1/2.

    The probability of a share as far from one half or farther, at the edge of what the hypothesis allows.

    >>> [round(equivalence(k, 100 - k), 5) for k in (50, 60, 65, 70, 75)]
    [1.0, 0.54334, 0.17947, 0.02478, 0.00119]

    Args:
        better: prompts on which it does better.
        worse: prompts on which it does worse; those on which both do the same are in neither.

    Returns:
        The p-value; 1 where there are only ties.
    """
    from scipy.stats import binom

    n = better + worse
    k = np.arange(n + 1)
    as_far = np.abs(2 * k - n) >= abs(better - worse)  # in whole numbers: no rounding decides
    return float(min(1.0, binom.pmf(k[as_far], n, 0.5 + MARGIN).sum()))


def at_most(x: int, n: int = N_RANDOM) -> float:
    """The probability of at most so many of `n` where each is one with :data:`QUANTILE`.

    >>> [round(at_most(x), 4) for x in (83, 84, 85)]
    [0.0206, 0.0399, 0.0726]
    """
    from scipy.stats import binom

    return float(binom.cdf(x, n, QUANTILE))


def at_least(x: int, n: int = N_RANDOM) -> float:
    """The probability of at least so many.

    >>> [round(at_least(x), 4) for x in (95, 96)]
    [0.0576, 0.0237]
    """
    from scipy.stats import binom

    return float(binom.sf(x - 1, n, QUANTILE))


def hsic(x: np.ndarray, y: np.ndarray) -> float:
    """The Hilbert-Schmidt independence criterion of two variables: tr(K_c L_c) / (n - 1)^2 (Gretton et al. 2005).

    Gaussian kernels, each as wide as the median distance of its own variable; 0 where one is constant.

    Args:
        x: ``[n]``.
        y: ``[n]``, n at least 2.
    """
    return float((_centred(x) * _centred(y)).sum()) / (len(x) - 1) ** 2


def independence(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Of the hypothesis that two variables are independent, by permutation of one of them.

    Args:
        x: ``[n]``.
        y: ``[n]``, n at least 2.
        rng: draws the permutations.

    Returns:
        HSIC and its p-value, ``(b + 1) / (B + 1)`` where b of B permutations give as much; 1 where one is constant.
    """
    k, others = _centred(x), _centred(y)
    observed = float((k * others).sum())
    floor = observed - 1e-12 * abs(observed)  # a permutation that changes nothing gives the same but for rounding
    orders = (rng.permutation(len(x)) for _ in range(_PERMUTATIONS))
    as_much = sum(float((k * others[np.ix_(order, order)]).sum()) >= floor for order in orders)
    return observed / (len(x) - 1) ** 2, (as_much + 1) / (_PERMUTATIONS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of several tests as Holm (1979) corrects them: those up to alpha are rejected, and with them no other.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    found, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable").tolist()):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = highest
    return found


def _centred(x: np.ndarray) -> np.ndarray:
    """The centred Gaussian kernel of a variable, ``[n, n]``."""
    distances = np.abs(np.subtract.outer(x, x))
    apart = distances[np.triu_indices(len(x), 1)]
    width = float(np.median(apart)) or float(apart.mean()) or 1.0  # more than half of them may be the same
    with np.errstate(over="ignore"):
        kernel = np.exp(-((distances / width) ** 2) / 2)  # divided first: the squares of small ones are 0
    return kernel - kernel.mean(0) - kernel.mean(1, keepdims=True) + kernel.mean()
