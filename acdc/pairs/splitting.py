"""Which of some given prompt pairs are used, and which are held out.

Pairs that belong together stay together: those of one ``group`` and those with the same clean
prompt. Chance parts the others, by hashes of the seed and the pairs themselves, so that
neither the order of a file nor the version of Python plays a part. Where pairs are marked as
``train`` and ``test``, that decides. Either way the chosen pairs keep their order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from acdc.errors import OverlapError, PromptError
from acdc.pairs import PromptPair, PromptSet
from acdc.wording import counted, quoted

#: Names of the tags.
SPLIT, GROUP = "split", "group"
_TRAIN, _TEST, _ASIDE = "train", "test", "validation"
_MARKS = {_TRAIN: _TRAIN, _TEST: _TEST, **dict.fromkeys((_ASIDE, "valid", "val", "dev"), _ASIDE)}


@dataclass(frozen=True)
class Sides:
    """Prompt pairs, parted for one seed. Numbers are places in the pairs as given.

    Attributes:
        units: pairs that belong together, in the order in which they are used up.
        test: those that are marked to be held out; ``None``: no pair is marked, and what isn't used is held out.
        aside: those that are marked as neither.
        repeated: marked as held out, but with the clean prompt of a pair to be used: not held out.
    """

    units: Sequence[Sequence[int]]
    test: Sequence[int] | None
    aside: Sequence[int]
    repeated: Sequence[int]

    @property
    def n_train(self) -> int:
        """How many pairs can be used."""
        return sum(map(len, self.units))

    def train(self, n: int) -> list[int]:
        """The `n` pairs to be used, in their order."""
        return sorted([place for unit in self.units for place in unit][:n])

    def held_out(self, n: int) -> list[int]:
        """Up to `n` pairs that belong to none of the `n` that are used; where all are used, all marked ones."""
        if self.test is not None:
            return sorted(self.test if n >= self.n_train else self.test[:n])
        left = n
        places: list[int] = []
        for unit in self.units:
            if left <= 0:
                places += unit
            left -= len(unit)
        return sorted(places[:n])


def sides(pairs: Sequence[PromptPair], seed: int) -> Sides:
    """Part pairs by their tags, or by chance.

    Args:
        pairs: the pairs; of their tags, ``split`` (``train``, ``test``, ``validation``) and ``group`` count.
        seed: of the chance.

    Raises:
        PromptError: some pairs are marked and others not, a mark isn't known, or a group is on both sides;
            names the pair.
    """
    marks = [_mark(pair) for pair in pairs]
    groups = [_group(pair) for pair in pairs]
    if any(marks) and not all(marks):
        other = pairs[marks.index(None)]
        raise PromptError(f"{other.where}: it has no {SPLIT!r}, though other pairs have one; mark all or none.")
    cleans = [json.dumps(pair.clean, default=str) for pair in pairs]
    if not any(marks):
        return Sides(_shuffled(_units(cleans, groups), cleans, groups, seed), None, (), ())
    _check_groups(pairs, marks, groups)
    at = {mark: [place for place, other in enumerate(marks) if other == mark] for mark in (_TRAIN, _TEST, _ASIDE)}
    used = {cleans[place] for place in at[_TRAIN]}
    test = [place for place in at[_TEST] if cleans[place] not in used]
    return Sides(
        _shuffled([[place] for place in at[_TRAIN]], cleans, groups, seed),
        [place for unit in _shuffled([[place] for place in test], cleans, groups, seed) for place in unit],
        at[_ASIDE],
        [place for place in at[_TEST] if cleans[place] in used],
    )


def _mark(pair: PromptPair) -> str | None:
    value = pair.tags.get(SPLIT)
    if value is None or value == "":
        return None
    known = _MARKS.get(value.strip().casefold()) if isinstance(value, str) else None
    if known is None:
        raise PromptError(f"{pair.where}: {SPLIT!r} must be {_TRAIN}, {_TEST} or {_ASIDE}, not {quoted(value)}.")
    return known


def _group(pair: PromptPair) -> str | None:
    value = pair.tags.get(GROUP)
    if value is None or value == "":
        return None
    if not isinstance(value, str | int | float):
        raise PromptError(f"{pair.where}: {GROUP!r} must be text or a number, not {quoted(value)}.")
    return str(value)


def _check_groups(pairs: Sequence[PromptPair], marks: Sequence[str | None], groups: Sequence[str | None]) -> None:
    first: dict[str, int] = {}
    for place, group in enumerate(groups):
        if group is None or marks[place] == _ASIDE:
            continue
        other = first.setdefault(group, place)
        if marks[other] != marks[place]:
            raise PromptError(
                f"{pairs[place].where}: its {GROUP!r} {quoted(group)} is in {marks[place]}, and in {marks[other]} too "
                f"({pairs[other].where}); a group is on one side."
            )


def _units(cleans: Sequence[str], groups: Sequence[str | None]) -> list[list[int]]:
    """Places that have a clean prompt or a group in common, directly or by others."""
    leader = list(range(len(cleans)))

    def find(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    first: dict[tuple[str, str], int] = {}
    for place, (clean, group) in enumerate(zip(cleans, groups, strict=True)):
        for key in [("clean", clean)] + ([] if group is None else [("group", group)]):
            leader[find(place)] = find(first.setdefault(key, place))
    units: dict[int, list[int]] = {}
    for place in range(len(cleans)):
        units.setdefault(find(place), []).append(place)
    return list(units.values())


def _shuffled(
    units: Sequence[list[int]], cleans: Sequence[str], groups: Sequence[str | None], seed: int
) -> list[list[int]]:
    """Units by a hash of the seed and of what they hold."""

    def key(unit: Sequence[int]) -> tuple[bytes, str]:
        name = min(f"{groups[place] or ''}\n{cleans[place]}" for place in unit)
        return hashlib.sha256(f"{seed}\n{name}".encode("utf-8", "surrogatepass")).digest(), name

    return sorted(units, key=key)


def refuse_overlap(used: PromptSet, held_out: PromptSet) -> None:
    """Raise :class:`OverlapError` if prompts that should be held out are among those used; says what share."""
    cleans = {pair.clean for pair in used.pairs}
    shared = sum(pair.clean in cleans for pair in held_out.pairs)
    if shared:
        raise OverlapError(
            f"{held_out.task}: {shared} of {counted(len(held_out), 'held-out pair')} ({shared / len(held_out):.0%}) "
            "have a clean prompt that also stands among the used ones; keep the splits of the task apart."
        )


def too_many(name: str, n: int, found: int) -> PromptError:
    """What to say where there are fewer pairs than are asked for."""
    return PromptError(f"{name} has {counted(found, 'prompt pair')}, not {n}; ask for fewer or add some.")
