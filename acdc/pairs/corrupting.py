"""What a corruption changes, beside what it says that it changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from acdc.pairs.tokenizer import Tokenizer, text_of
from acdc.pairs.tokenizing import TokenPair
from acdc.wording import counted, in_pairs

#: Of fewer pairs nothing is usual; what a larger share of them does is no exception.
_FEWEST, _EXCEPTIONS = 10, 0.1
#: Of fewer different tokens any may stand anywhere by chance.
_FEWEST_TOKENS = 13


@dataclass(frozen=True)
class Declared:
    """What a task says of the corruption that its pairs are under.

    Attributes:
        is_default: it is the task's usual one, so that what it changes is what the task is about.
        is_control: the right answer must stay what it is.
        replaced: the spans that it replaces; ``None`` where that isn't said.
        is_algorithmic: prompts are made by a rule, and places are meant.
    """

    is_default: bool = True
    is_control: bool = False
    replaced: frozenset[str] | None = None
    is_algorithmic: bool = False


def changed_places(pair: TokenPair) -> list[int]:
    """The tokens at which clean and corrupted prompt differ, ascending."""
    both = enumerate(zip(pair.clean, pair.corrupted, strict=True))
    return [place for place, (token, other) in both if token != other]


def odd_corruptions(pairs: Sequence[TokenPair], declared: Declared, tokenizer: Tokenizer | None) -> Iterator[str]:
    """What is changed besides what is declared, or too late, or in a way that leaves the answer or gives it away."""
    yield from _changed_elsewhere(pairs, declared, tokenizer)
    yield from _changed_too_much(pairs, declared)
    yield from _changed_too_late(pairs)
    yield from _same_answers(pairs, declared)
    yield from _given_away(pairs, tokenizer)


def _changed_elsewhere(pairs: Sequence[TokenPair], declared: Declared, tokenizer: Tokenizer | None) -> Iterator[str]:
    """Tokens that differ outside of the spans that the corruption replaces."""
    if declared.replaced is None:
        return
    found = []
    for pair in pairs:
        spans = [span for name in declared.replaced for span in pair.spans.get(name, ())]
        outside = [place for place in changed_places(pair) if not any(a <= place < b for a, b in spans)]
        if spans and outside:
            place = outside[0]
            texts = [text_of(ids[place : place + 1], tokenizer, ids[:place]) for ids in (pair.clean, pair.corrupted)]
            found.append(f"{pair.where}: token {place}, {texts[0]!r} against {texts[1]!r}")
    if found:
        says = f"other tokens differ too than those of {' and '.join(sorted(declared.replaced))}, which it replaces"
        yield f"{in_pairs(found, len(pairs), says)}; then it doesn't isolate what it says."


def _changed_too_much(pairs: Sequence[TokenPair], declared: Declared) -> Iterator[str]:
    """A few pairs that differ in far more tokens than the others, where nothing says in which they should."""
    if declared.replaced is not None or declared.is_algorithmic:
        return
    alike: dict[str, list[TokenPair]] = defaultdict(list)
    for pair in pairs:
        alike[str(pair.tags.get("template"))].append(pair)
    found = []
    for group in alike.values():
        counts = [len(changed_places(pair)) for pair in group]
        usual = median(counts)
        odd = [(pair, count) for pair, count in zip(group, counts, strict=True) if count > 2 * usual + 1]
        if len(group) >= _FEWEST and len(odd) <= _EXCEPTIONS * len(group):
            found += [
                f"{pair.where}: {counted(count, 'token')}, where {usual:g} {'is' if usual == 1 else 'are'} usual"
                for pair, count in odd
            ]
    if found:
        says = "clean and corrupted differ in far more tokens than in the others"
        yield f"{in_pairs(found, len(pairs), says)}; check what is corrupted there."


def _changed_too_late(pairs: Sequence[TokenPair]) -> Iterator[str]:
    """Pairs of which every answer is read before the first token that differs."""
    late = [
        f"{pair.where}: read after token {pair.answer_positions[-1]}, the first that differs is {changed[0]}"
        for pair in pairs
        if (changed := changed_places(pair)) and changed[0] > pair.answer_positions[-1]
    ]
    if late:
        says = "the answer is read before the first token that differs"
        yield f"{in_pairs(late, len(pairs), says)}, so that a causal model can't tell clean from corrupted there."


def _same_answers(pairs: Sequence[TokenPair], declared: Declared) -> Iterator[str]:
    """Right answers that are right on the corrupted prompt too; or that aren't, under a control corruption."""
    known = [pair for pair in pairs if pair.answers and pair.corrupted_answers]
    if declared.is_control:
        if moved := [pair.where for pair in known if not _answers_hold(pair)]:
            says = "another answer is right on the corrupted prompt"
            yield f"{in_pairs(moved, len(pairs), says)}, under a control corruption, which must leave the answer."
        return
    # Another corruption than the usual one may well change something else, as which answer is wrong.
    same = [pair.where for pair in known if _answers_hold(pair, nothing_else=True)] if declared.is_default else []
    if same:
        says = "the right answer is right on the corrupted prompt too"
        yield f"{in_pairs(same, len(pairs), says)}; corrupt what it depends on, or call it a control corruption."


def _answers_hold(pair: TokenPair, *, nothing_else: bool = False) -> bool:
    """Whether all that is right on the clean prompt is right on the corrupted one, at every answer position.

    Args:
        pair: the pair.
        nothing_else: and no other answer. Where every year is a later one, a later year tells nothing of the clean one.
    """
    both = [(set(right), set(other)) for right, other in zip(pair.answers, pair.corrupted_answers, strict=False)]
    return all(right == other if nothing_else else right <= other for right, other in both)


def _given_away(pairs: Sequence[TokenPair], tokenizer: Tokenizer | None) -> Iterator[str]:
    """The corrupted prompt holds the right answer, and the clean one doesn't, in most pairs.

    Where all prompts are made of a few symbols, such as digits, a right one stands there by chance.
    """
    if len({token for pair in pairs for token in pair.clean}) < _FEWEST_TOKENS:
        return
    given = []
    for pair in pairs:
        for right, place in zip(pair.answers, pair.answer_positions, strict=False):
            clean, corrupted = pair.clean[: place + 1], pair.corrupted[: place + 1]
            shown = [token for token in right if token in corrupted and token not in clean]
            if len(right) == 1 and shown:
                given.append(f"{pair.where}: {text_of(shown, tokenizer, pair.clean[:1])!r}")
                break
    if len(given) > len(pairs) / 2 and len(pairs) >= _FEWEST:
        says = "the right answer stands in the corrupted prompt and not in the clean one"
        yield f"{in_pairs(given, len(pairs), says)}; corrupt the prompts without it."
