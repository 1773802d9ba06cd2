"""Leaving out pairs that don't fit, and saying which."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from acdc.errors import NoTokenizerError, PromptError, warn
from acdc.pairs import PromptPair, TokenPair
from acdc.waiting import waiting
from acdc.wording import counted, shortened

#: What they are called among the things left out.
BAD_PAIRS = "bad pairs"
_MOST_NAMED = 10
_MOST_SHOWN = 300  # characters of a reason


def without_bad(
    name: str, pairs: Sequence[PromptPair | PromptError], tokenized: Callable[[PromptPair], TokenPair]
) -> tuple[list[PromptPair], list[PromptError]]:
    """Pairs that fit, and the errors of the others, which are said as warnings."""
    good: list[PromptPair] = []
    bad: list[PromptError] = []
    for pair in waiting(pairs, "checking prompts"):
        try:
            if isinstance(pair, PromptError):
                raise pair
            tokenized(pair)
            good.append(pair)
        except PromptError as error:
            bad.append(error)
    if good:
        warn_of_bad(name, bad, len(pairs))
    return good, bad


def warn_of_bad(name: str, bad: Sequence[PromptError], n: int) -> None:
    """Say how many of `n` pairs were left out, and the reasons of the first ten."""
    if not bad:
        return
    which = "" if len(bad) <= _MOST_NAMED else f"; the first {_MOST_NAMED} are named here"
    warn(f"{name}: {len(bad)} of {counted(n, 'pair')} don't fit and are left out{which}.")
    for error in bad[:_MOST_NAMED]:
        warn(f"left out: {shortened(str(error), _MOST_SHOWN)}")


def none_left(name: str, bad: Sequence[PromptError]) -> PromptError:
    """What to raise where no pair is left."""
    if isinstance(bad[0], NoTokenizerError):
        return bad[0]
    return PromptError(f"{name}: no pair fits, of {len(bad)}; the first: {bad[0]}")
