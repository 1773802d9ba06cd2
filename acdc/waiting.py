"""A bar for what may take a while before a run begins; on standard error, and only after a second."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

_T = TypeVar("_T")
_SHOWN: ContextVar[bool] = ContextVar("shown", default=False)
_AFTER_SECONDS = 1.0


@contextmanager
def bars(shown: bool) -> Iterator[None]:
    """Within it, show the bars of :func:`waiting`, or don't; without it they aren't shown."""
    token = _SHOWN.set(shown)
    try:
        yield
    finally:
        _SHOWN.reset(token)


def waiting(things: Iterable[_T], what: str, total: int | None = None) -> Iterable[_T]:
    """`things`, with a bar if going through them takes over a second.

    Args:
        things: what to go through.
        what: what is done with them.
        total: how many there are; by default their length, if they have one.
    """
    if not _SHOWN.get():
        return things
    from tqdm import tqdm

    return tqdm(
        things,
        desc=what,
        total=len(things) if total is None and isinstance(things, Sized) else total,
        delay=_AFTER_SECONDS,
        dynamic_ncols=True,
        leave=False,
        mininterval=0.1 if sys.stderr.isatty() else 1,  # seconds; in a log file every line stays
    )
