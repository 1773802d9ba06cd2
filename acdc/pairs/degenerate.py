"""Pairs that say too little, or contradict each other: equal ones, uncorrupted ones, answers all alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from acdc.pairs.tokenizer import Tokenizer, text_of
from acdc.pairs.tokenizing import TokenPair
from acdc.wording import in_pairs, quoted

#: What is more improbable is no chance.
_BY_CHANCE = 1e-3


def degenerate_data(pairs: Sequence[TokenPair], tokenizer: Tokenizer | None) -> Iterator[str]:
    """What makes a set of pairs smaller, or easier, than it looks."""
    n = len(pairs)
    places: dict[TokenPair, list[str]] = defaultdict(list)
    for pair in pairs:
        places[pair].append(pair.where)
    if twice := [" and ".join(found[:2]) for found in places.values() if len(found) > 1]:
        yield (
            f"{n - len(places)} of {n} prompt pairs are duplicates ({twice[0]} are equal) and count as often as they "
            "stand there; leave one of equal ones."
        )
    if equal := [pair.where for pair in pairs if pair.clean == pair.corrupted]:
        yield (
            in_pairs(equal, n, "clean and corrupted are equal") + ", so that patching can't change anything there; "
            "corrupt what the behaviour depends on, or leave the pairs out."
        )
    if n > 1 and pairs[0].answers and all(pair.answers == pairs[0].answers for pair in pairs):
        yield (
            f"the right answer is {_last_answer(pairs[0], tokenizer)} in all {n} prompt pairs, so that a circuit that "
            "always says so is right; take pairs with different answers."
        )
    elif one_sided := _one_sided(pairs):
        yield one_sided
    if contradicting := _contradictions(pairs):
        says = "a right answer is a wrong one of another pair with the same clean prompt"
        yield f"{in_pairs(contradicting, n, says)}; at most one of them can be meant."


def _contradictions(pairs: Sequence[TokenPair]) -> list[str]:
    """Where one pair calls right what an earlier one with the same prompt calls wrong, or the other way round."""
    earlier: dict[tuple[object, ...], TokenPair] = {}
    found = []
    for pair in pairs:
        other = earlier.setdefault((pair.clean, pair.answer_positions), pair)
        for one, two in ((pair, other), (other, pair)):
            both = zip(one.answers, two.wrong_answers, strict=False)
            if any(set(right) & set(wrong) for right, wrong in both):
                found.append(f"{other.where} and {pair.where}")
                break
    return found


def _one_sided(pairs: Sequence[TokenPair]) -> str | None:
    """What to say of a template, or a group, all of whose pairs have one right answer, too many for chance."""
    for kind in ("template", "group"):
        places: dict[str, list[TokenPair]] = defaultdict(list)
        for pair in pairs:
            if pair.answers and kind in pair.tags:
                places[str(pair.tags[kind])].append(pair)
        for label, found in places.items():
            answers = {pair.answers for pair in found}
            share = sum(pair.answers == found[0].answers for pair in pairs) / len(pairs)
            # Where every other pair has that answer, ten of a template have it by chance one time in a thousand.
            if len(places) > 1 and len(answers) == 1 and share ** len(found) < _BY_CHANCE and len(found) > 2:
                return (
                    f"all {len(found)} prompt pairs of the {kind} {quoted(label, 60)} have one right answer, where "
                    f"{share:.0%} of all pairs have it; let it have others too, or the {kind} alone tells it."
                )
    return None


def _last_answer(pair: TokenPair, tokenizer: Tokenizer | None) -> str:
    text = text_of(pair.answers[-1][:1], tokenizer, pair.clean[: pair.answer_positions[-1] + 1])
    return f"token {pair.answers[-1][0]}" if tokenizer is None else repr(text)
