"""Held-out prompts that are hardly others than the ones that are used."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator

from acdc.pairs.promptset import PromptSet
from acdc.pairs.tokenizer import Tokenizer, text_of
from acdc.pairs.tokenizing import TokenPair
from acdc.wording import counted

#: A larger share of held-out prompts that are used ones in another order is no chance.
_BY_CHANCE = 0.05


def shared_prompts(
    used: PromptSet, held_out: PromptSet, tokenizer: Tokenizer | None, *, any_order: bool = False
) -> Iterator[str]:
    """Sentences on held-out pairs whose clean prompt is a used one: equal, or but for case and spaces, or for order.

    Args:
        used: pairs that a circuit is found on.
        held_out: pairs that it is judged on.
        tokenizer: what they were checked with; without one, nothing is known of case and spaces.
        any_order: the order of tokens is meant, as in sequences made by a rule.
    """
    kinds: list[tuple[str, Callable[[TokenPair], Hashable]]] = [("", lambda pair: pair.clean)]
    if tokenizer is not None:
        kinds.append((" but for upper case and spaces", lambda pair: _loosely(pair, tokenizer)))
    if not any_order:
        kinds.append((" with its tokens in another order", lambda pair: (tuple(sorted(pair.clean)), pair.answers)))
    for but, key in kinds:
        known = {key(pair): pair.where for pair in used.pairs}
        same = [f"{known[key(pair)]} and {pair.where}" for pair in held_out.pairs if key(pair) in known]
        if len(same) > (_BY_CHANCE * len(held_out) if "order" in but else 0):
            yield (
                f"{len(same)} of {counted(len(held_out), 'held-out pair')} ({len(same) / len(held_out):.0%}) have the "
                f"clean prompt of a used one{but} ({same[0]}); what holds on them may be learnt by heart."
            )
            return


def _loosely(pair: TokenPair, tokenizer: Tokenizer) -> str:
    """A clean prompt's text without what hardly makes it another one."""
    return re.sub(r"\s+", " ", text_of(pair.clean, tokenizer).casefold()).strip()
