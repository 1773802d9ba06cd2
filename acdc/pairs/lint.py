"""What may make prompt pairs mean something else than their author thinks, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from acdc.pairs.corrupting import Declared, odd_corruptions
from acdc.pairs.degenerate import degenerate_data
from acdc.pairs.marks import misplaced_marks
from acdc.pairs.pairs import PromptPair
from acdc.pairs.predictable import boring_explanations
from acdc.pairs.seams import odd_answers, odd_seams
from acdc.pairs.tokenizer import Tokenizer
from acdc.pairs.tokenizing import TokenPair
from acdc.wording import in_pairs


def doubts(
    pairs: Sequence[tuple[PromptPair, TokenPair]], tokenizer: Tokenizer | None, declared: Declared | None = None
) -> Iterator[str]:
    """Sentences on a set of pairs, one for each kind of doubt, with a count and an example.

    Args:
        pairs: each as written and as checked.
        tokenizer: what they were checked with.
        declared: what their task says of the corruption; by default the usual, of which nothing is said.
    """
    declared = declared or Declared()
    checked = [pair for _, pair in pairs]
    if moved := [pair.where for pair in checked if pair.alignment == "moved"]:
        says = in_pairs(moved, len(pairs), "clean and corrupted words don't stand at the same tokens")
        yield f"{says}; there, tokens are patched from other words' tokens."
    yield from degenerate_data(checked, tokenizer)
    yield from odd_corruptions(checked, declared, tokenizer)
    if declared.is_default:
        yield from boring_explanations(checked, tokenizer, places_are_meant=declared.is_algorithmic)
    if tokenizer is not None:
        yield from misplaced_marks(pairs, tokenizer)
        yield from odd_seams(pairs, tokenizer)
        yield from odd_answers(checked, tokenizer)
