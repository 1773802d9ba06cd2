"""Boring explanations: right answers that can be told without what the task is about.

What the corruption changes is what the task is about. Where the right answer follows from anything else (how long the
prompt is, one token that stands in clean and corrupted prompt alike, the order in which the answers are mentioned, or
no prompt at all), a circuit may do just that. Each rule is learnt on one half of the pairs and tried on the other;
hashes of the clean prompts part the halves.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from acdc.pairs.tokenizer import Tokenizer, text_of
from acdc.pairs.tokenizing import TokenPair
from acdc.wording import counted, quoted

#: Of fewer pairs, or more improbable, a rule may hold by chance.
_FEWEST, _BY_CHANCE = 16, 1e-3
#: A rule tells the answer if it is right on so large a share of the other half, and on so much more than a guess.
_TELLS, _GAIN = 0.8, 0.2
#: More pairs tell no more, and take time; so do places further from a prompt's ends.
_MOST_PAIRS, _MOST_PLACES = 1000, 64
#: Right answers that always stand at one place, in so large a share of the pairs.
_ALWAYS = 0.9

Label = Hashable
#: What a rule sees of a pair.
Seen = Hashable


@dataclass(frozen=True)
class Rule:
    """The best rule of a kind, and how good it is on pairs that it wasn't learnt on.

    Attributes:
        by: what it goes by, of a pair: a place, a token.
        accuracy: share of those pairs on which it tells the answer.
        guess: share on which the commonest answer is right.
        n: how many they are.
    """

    by: Any
    accuracy: float
    guess: float
    n: int

    @property
    def tells(self) -> bool:
        """Whether it is right too often for chance, and for a guess."""
        if self.accuracy < _TELLS or self.accuracy < self.guess + _GAIN:
            return False
        return _tail(round(self.accuracy * self.n), self.n, self.guess) < _BY_CHANCE

    @property
    def words(self) -> str:
        """How good it is, for a message."""
        return f"{self.accuracy:.0%} of {self.n} other pairs (the commonest answer on {self.guess:.0%})"


def boring_explanations(
    pairs: Sequence[TokenPair], tokenizer: Tokenizer | None, *, places_are_meant: bool = False
) -> Iterator[str]:
    """Sentences on what tells the right answer besides what the corruption changes; one of each kind.

    Args:
        pairs: under the corruption that changes what the task is about.
        tokenizer: what they were tokenized with.
        places_are_meant: the task is about where tokens stand, as reversing is.
    """
    pairs = [pair for pair in pairs if pair.answers][:_MOST_PAIRS]
    if len(pairs) < _FEWEST or len({_answer(pair) for pair in pairs}) == 1:
        return
    # Templates often have a length, and tokens, of their own: the simplest is said.
    simplest = chain(_from_length(pairs), _from_template(pairs), _from_a_token(pairs, tokenizer))
    yield from islice(simplest, 1)
    if not places_are_meant:
        yield from _from_order(pairs)
    yield from _from_nothing(pairs)


def _from_length(pairs: Sequence[TokenPair]) -> Iterator[str]:
    """The number of tokens."""
    for label, what in _labels(pairs):
        rule = best_rule(pairs, label, {"": [len(pair.clean) for pair in pairs]})
        if rule is not None and rule.tells:
            yield f"the length of the prompt alone tells {what}: right on {rule.words}; let it vary."
            return


def _from_template(pairs: Sequence[TokenPair]) -> Iterator[str]:
    """The template or group that a pair says it is of."""
    for kind in ("template", "group"):
        known = [str(pair.tags.get(kind)) for pair in pairs]
        if not 1 < len(set(known)) <= len(pairs) / 2:
            continue
        # Not which of two answers is right by their order: a template may well be of one.
        rule = best_rule(pairs, [_answer(pair) for pair in pairs], {"": known})
        if rule is not None and rule.tells:
            yield f"the {kind} alone tells the right answer: right on {rule.words}; let every {kind} have every answer."
            return


def _from_a_token(pairs: Sequence[TokenPair], tokenizer: Tokenizer | None) -> Iterator[str]:
    """A token that stays as it is: that at some place, or one that stands in the prompt or doesn't."""
    kept = [
        [token if token == other else None for token, other in zip(pair.clean, pair.corrupted, strict=True)]
        for pair in pairs
    ]
    for label, what in _labels(pairs):
        rule = best_rule(pairs, label, _tokens_at_places(pairs, kept))
        if rule is not None and rule.tells:
            side, place = rule.by
            which = f"token {place}" if side == "from the start" else f"{counted(place, 'token')} before the answer"
            yield (
                f"the token at one place ({which}), which the corruption leaves as it is, tells {what}: right on "
                f"{rule.words}; let it vary, or corrupt it too."
            )
            return
        rule = best_rule(pairs, label, _tokens_there(kept))
        if rule is not None and rule.tells:
            found = rule.by if tokenizer is None else quoted(text_of([rule.by], tokenizer))
            yield (
                f"whether the token {found} stands in the prompt, which the corruption leaves as it is, tells {what}: "
                f"right on {rule.words}; let it vary, or corrupt it too."
            )
            return


def _tokens_at_places(
    pairs: Sequence[TokenPair], kept: Sequence[Sequence[int | None]]
) -> Mapping[Hashable, Sequence[Seen]]:
    """For each place, from the start and back from the last answer, the token that each pair keeps there."""
    longest = max(map(len, kept))
    found: dict[Hashable, Sequence[Seen]] = {}
    for place in range(min(longest, _MOST_PLACES)):
        found["from the start", place] = [ids[place] if place < len(ids) else None for ids in kept]
        back = [pair.answer_positions[-1] - place for pair in pairs]
        found["from the answer", place] = [ids[i] if i >= 0 else None for ids, i in zip(kept, back, strict=True)]
    return {by: seen for by, seen in found.items() if len(set(seen)) > 1}


def _tokens_there(kept: Sequence[Sequence[int | None]]) -> Mapping[Hashable, Sequence[Seen]]:
    """For each token that stands in a fair part of the prompts, whether it stands in each."""
    sets = [set(ids) - {None} for ids in kept]
    counts = Counter(token for ids in sets for token in ids)
    fair = [token for token, count in counts.items() if 0.1 * len(kept) <= count <= 0.9 * len(kept)]
    return {token: [token in ids for ids in sets] for token in fair}


def _from_order(pairs: Sequence[TokenPair]) -> Iterator[str]:
    """Which of the answers is mentioned first, or at which token the right one stands, always the same."""
    for number in range(len(pairs[0].answers)):
        orders = [_order(pair, number) for pair in pairs]
        known = [order for order in orders if order is not None]
        if len(known) >= _ALWAYS * len(pairs):
            (rank, of), count = Counter(known).most_common(1)[0]
            # To copy the first or the last of them is a habit that models have; the third of five must be counted.
            by_chance = _tail(count, len(pairs), 1 / of) * of
            if rank in (0, of - 1) and count >= _ALWAYS * len(pairs) and by_chance < _BY_CHANCE:
                yield (
                    f"of the answers that a prompt mentions, right and wrong, the right one is the {_ordinal(rank)} of "
                    f"{of} in {count / len(pairs):.0%} of the pairs, so that its place alone tells it; let the order "
                    "vary."
                )
                return
        elif not known and (found := _always_at(pairs, number)) is not None:
            yield found
            return


def _always_at(pairs: Sequence[TokenPair], number: int) -> str | None:
    """What to say where the right answer itself stands at one token of nearly every prompt."""
    places = Counter(
        place
        for pair in pairs
        if number < len(pair.answers) and (place := _first(pair, number, pair.answers[number])) is not None
    )
    if not places:
        return None
    place, count = places.most_common(1)[0]
    if count < _ALWAYS * len(pairs):
        return None
    return (
        f"the right answer is token {place} of the prompt itself in {count / len(pairs):.0%} of the pairs, so that "
        "copying from one place tells it; let the place vary."
    )


def _from_nothing(pairs: Sequence[TokenPair]) -> Iterator[str]:
    """No prompt at all: answers that are right wherever they are among the answers."""
    flipped = [pair for pair in pairs if pair.corrupted_answers and pair.corrupted_answers != pair.answers]
    if len(flipped) > len(pairs) / 2 or not all(pair.wrong_answers for pair in pairs):
        return  # there, no answer is always the better one
    if any(len(ids) > 1 for pair in pairs for ids in pair.answers):
        return  # of many right answers, one is right nearly everywhere by design
    learnt, tried = _halves(pairs)
    liked: Counter[int] = Counter()
    for pair in (pairs[i] for i in learnt):
        liked.update(token for ids in pair.answers for token in ids)
        liked.subtract(token for ids in pair.wrong_answers for token in ids)
    hits = [
        all(
            max(liked[token] for token in right) > max(liked[token] for token in wrong)
            for right, wrong in zip(pairs[i].answers, pairs[i].wrong_answers, strict=True)
        )
        for i in tried
    ]
    share = sum(hits) / len(hits)
    if share >= _ALWAYS and _tail(sum(hits), len(hits), 0.5) < _BY_CHANCE:
        yield (
            f"right and wrong answers can be told apart without a prompt: what is oftener right than wrong in one half "
            f"of the pairs is right in {share:.0%} of {len(hits)} other pairs; let each right answer be a wrong one of "
            "other pairs."
        )


def best_rule(
    pairs: Sequence[TokenPair], labels: Sequence[Label], seen: Mapping[Hashable, Sequence[Seen]]
) -> Rule | None:
    """The rule that is best on one half of the pairs, and how good it is on the other; ``None`` if there is none.

    Args:
        pairs: the pairs.
        labels: what is to be told of each.
        seen: by what a rule may go; for each, its value of each pair. A rule says what is commonest with a value.
    """
    learnt, tried = _halves(pairs)
    if not seen or not learnt or not tried:
        return None

    def hits(rows: Sequence[int], values: Sequence[Seen]) -> int:
        return sum(table.get(values[i], usual) == labels[i] for i in rows)

    usual = Counter(labels[i] for i in learnt).most_common(1)[0][0]
    best: tuple[int, Hashable, dict[Seen, Label]] = (-1, None, {})
    for by, values in seen.items():
        counts: dict[Seen, Counter[Label]] = defaultdict(Counter)
        for i in learnt:
            counts[values[i]][labels[i]] += 1
        table = {value: count.most_common(1)[0][0] for value, count in counts.items()}
        found = hits(learnt, values) - len(table)  # a value for itself alone is no rule
        if found > best[0]:
            best = found, by, table
    if best[0] < 0:
        return None
    table, values = best[2], seen[best[1]]
    guess = max(Counter(labels[i] for i in tried).values()) / len(tried)
    return Rule(best[1], hits(tried, values) / len(tried), guess, len(tried))


def _labels(pairs: Sequence[TokenPair]) -> Iterator[tuple[Sequence[Label], str]]:
    """What may be told: the right answer; or where answers are mentioned, which of them it is."""
    yield [_answer(pair) for pair in pairs], "the right answer"
    orders = [_order(pair, -1) for pair in pairs]
    if all(order is not None for order in orders) and len(set(orders)) > 1:
        yield orders, "which of the answers that the prompt mentions is right"


def _answer(pair: TokenPair) -> Label:
    return pair.answers


def _order(pair: TokenPair, number: int) -> tuple[int, int] | None:
    """Where the right answer comes among those that are mentioned up to the answer, from 0, and of how many."""
    if not pair.wrong_answers or number >= len(pair.answers):
        return None
    right = _first(pair, number, pair.answers[number])
    wrong = {_first(pair, number, (token,)) for token in pair.wrong_answers[number]} - {None}
    if right is None or not wrong:
        return None
    return sum(place < right for place in wrong if place is not None), 1 + len(wrong)


def _first(pair: TokenPair, number: int, tokens: Sequence[int]) -> int | None:
    """The first place of one of some tokens up to where an answer is read."""
    prompt = pair.clean[: pair.answer_positions[number] + 1]
    return min((prompt.index(token) for token in tokens if token in prompt), default=None)


def _halves(pairs: Sequence[TokenPair]) -> tuple[list[int], list[int]]:
    """Numbers of the pairs of either half; equal clean prompts are in one."""
    halves: tuple[list[int], list[int]] = ([], [])
    for number, pair in enumerate(pairs):
        halves[hashlib.sha256(repr(pair.clean).encode()).digest()[0] % 2].append(number)
    return halves


def _tail(hits: int, n: int, p: float) -> float:
    """The probability of `hits` or more of `n`, each of probability `p`."""
    return math.fsum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(hits, n + 1))


def _ordinal(rank: int) -> str:
    return ("first", "second", "third")[rank] if rank < 3 else f"{rank + 1}th"
