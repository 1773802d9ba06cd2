"""What is computed once for several runs: whoever computes something says what it is of, and gets it again.

A run alone computes everything anew and holds nothing longer than it needs it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar, runtime_checkable

from acdc.errors import AcdcError, AcdcWarning, note

T = TypeVar("T")


@runtime_checkable
class Once(Protocol):
    """Gives what a function computes."""

    def __call__(self, what: Hashable, compute: Callable[[], T]) -> T:
        """What `compute` gives, or gave before of the same `what`.

        Args:
            what: all that the outcome depends on, within what is shared.
            compute: computes it; whoever gets the outcome doesn't change it.
        """


def anew(what: Hashable, compute: Callable[[], T]) -> T:
    """Compute it: nothing is shared."""
    return compute()


def within(once: Once, whole: Hashable) -> Once:
    """For parts of something that `once` has computed: two of one name are different in different wholes."""
    if once is anew:
        return anew

    def of_part(what: Hashable, compute: Callable[[], T]) -> T:
        return once((whole, what), compute)

    return of_part


class Remembered:
    """An :class:`Once` that computes each thing once.

    What was warned of is warned of each time, and what was refused is refused by the same sentence: nobody sees from
    the outcome that it isn't new.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[Any, AcdcError | None, list[warnings.WarningMessage]]] = {}

    def __call__(self, what: Hashable, compute: Callable[[], T]) -> T:
        """See :class:`Once`."""
        if what not in self._known:
            self._known[what] = _outcome(compute)
        value, refused, said = self._known[what]
        for one in said:
            if issubclass(one.category, AcdcWarning):
                note(str(one.message))
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        if refused is not None:
            raise without_frames(refused)
        found: T = value
        return found

    def forget(self) -> None:
        """Free it all."""
        self._known.clear()


def _outcome(compute: Callable[[], Any]) -> tuple[Any, AcdcError | None, list[warnings.WarningMessage]]:
    """What came of it, and what it warned of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            return compute(), None, said
        except AcdcError as error:
            return None, without_frames(error), said


def without_frames(error: AcdcError) -> AcdcError:
    """The same error, without what it came of: its frames hold models and prompts as long as it is remembered."""
    kind = type(error)
    bare = kind.__new__(kind, *error.args)
    bare.__dict__.update(error.__dict__)
    return bare
