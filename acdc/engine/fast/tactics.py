"""What the fast engine saves by, one by one, so that a benchmark can tell what each is worth."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tactics:
    """Savings; none of them changes a decision.

    Attributes:
        chains: removals are evaluated many at a time, ahead of the decisions.
        answers_only: nodes that no key or value depends on are computed at the answers alone.
        unchanged_skipped: positions before the first one that differs are not computed.
        short_scores: heads' changes go through ``W_O W_U``, ``d_head`` numbers each.
        short_mlps: likewise into MLPs, through ``W_O W_in``.
        short_heads: likewise into heads, through ``W_O W_Q`` and the like.
        runs_reused: an accepted run becomes the cache instead of being run again.
    """

    chains: bool = True
    answers_only: bool = True
    unchanged_skipped: bool = True
    short_scores: bool = True
    short_mlps: bool = True
    short_heads: bool = True
    runs_reused: bool = True
