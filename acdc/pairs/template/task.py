"""A task of a template file."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from acdc.errors import PromptError, UnknownNameError
from acdc.pairs import PromptPair, Tokenizer
from acdc.pairs.fitting import require_tokenizer
from acdc.pairs.sampling import too_few
from acdc.pairs.task import Generated, Split, Task
from acdc.pairs.template.checking import checked
from acdc.pairs.template.drawing import Combinations
from acdc.pairs.template.fitting import Fitting, odd_answer
from acdc.pairs.template.making import Maker
from acdc.pairs.template.reading import read_spec
from acdc.pairs.template.spec import Draw
from acdc.pairs.template.texts import texts_of
from acdc.pairs.template.words import WordList
from acdc.waiting import waiting
from acdc.wording import counted

SUFFIX = ".toml"
#: To say how many pairs there are, so many combinations are all looked at; of more, a sample.
_MOST_COUNTED, _SAMPLE = 4000, 500
#: How much may be tried in a row without making a pair, see :attr:`acdc.pairs.template.making.Maker.effort`.
_MOST_IN_VAIN = 20_000


class TemplateTask(Task):
    """The prompts that a template file describes.

    Args:
        path: the file.
        name: the task's name; by default the path.

    Attributes:
        path: the file.

    Raises:
        PromptError: it can't be read, or something in it isn't as it should be; names the key.
        UnknownNameError: a name in it isn't known.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self._spec, self._layouts = checked(read_spec(path))
        self.path = path
        self.name = str(path) if name is None else name
        self._own_name = path.stem if name is None else name
        self.files = (path, *self._spec.files) if name is None else ()

    # Of a task that is a class these are its class'; here they are the file's.
    @property
    def summary(self) -> str:  # type: ignore[override]
        """One line."""
        return self._spec.summary

    @property
    def source(self) -> str:  # type: ignore[override]
        """The paper, or where the facts are from."""
        return self._spec.source

    @property
    def metric(self) -> str:  # type: ignore[override]
        """The usual metric."""
        return self._spec.metric

    @property
    def corruptions(self) -> dict[str, str]:  # type: ignore[override]
        """What each corruption isolates."""
        return {name: corruption.isolates for name, corruption in self._spec.corruptions.items()}

    @property
    def control_corruptions(self) -> frozenset[str]:  # type: ignore[override]
        """Those that leave the right answer as it is."""
        return frozenset(name for name, corruption in self._spec.corruptions.items() if corruption.keeps_answer)

    @property
    def spans(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the parts that its prompts mark."""
        return tuple(dict.fromkeys([name for one in self._layouts for name in one.mention] + list(self._spec.spans)))

    @property
    def texts(self) -> tuple[str, ...]:
        """What its prompts and answers are written with, for who makes a tokenizer of it.

        Templates and other texts, with "x" in their slots, and each word, and each of its tags that is written
        anywhere, with a space before, and without where it stands behind something else.
        """
        return tuple(sorted(texts_of(self._spec, self._layouts)))

    def replaced(self, corruption: str) -> frozenset[str]:
        """The slots that a corruption replaces, and those that are made of them."""
        given = self._spec.corruptions[corruption].replace
        found, before = set(given), 0
        while len(found) > before:
            before = len(found)
            for template in self._spec.templates:
                follow = {name for name, text in template.made.items() if any(ref.slot in found for ref in text.refs)}
                found |= follow
        return frozenset(found)

    def generate(self, tokenizer: Tokenizer | None, n: int, seed: int, split: Split, corruption: str) -> Generated:
        """Make `n` pairs; the clean prompts are the same under every corruption.

        Raises:
            PromptError: no tokenizer, or too few words fit it.
            UnknownNameError: there is no such corruption.
        """
        if corruption not in self._spec.corruptions:
            raise UnknownNameError("corruption", corruption, self._spec.corruptions)
        tokenizer = require_tokenizer(tokenizer, self.name)
        fitting = Fitting(self._spec, self._layouts, tokenizer)
        self._check_enough(fitting, tokenizer)
        combinations = Combinations(self._spec, self._layouts, fitting, split)
        pairs: list[PromptPair] = []
        if n <= combinations.total:
            maker = Maker(self._spec, self._own_name, fitting, tokenizer, seed, split)
            made = self._pairs(combinations, maker, seed, split, corruption)
            pairs = [pair for _, pair in zip(waiting(range(n), f"making prompts of {self.name}"), made, strict=False)]
        if len(pairs) < n:
            maker = Maker(self._spec, self._own_name, fitting, tokenizer, 0, split)
            raise self._too_few(combinations, maker, n, split, corruption)
        left_out = {words.name: list(fitting.left_out.get(words.name, ())) for words in self._lists()}
        return Generated(pairs, left_out)

    def _pairs(
        self, combinations: Combinations, maker: Maker, seed: int, split: Split, corruption: str
    ) -> Iterator[PromptPair]:
        """Pairs in an order of chance, until there are none, or hardly any."""
        number = begun = 0
        for one in combinations.drawn(random.Random(f"{self._own_name} {split} {seed}")):
            pair = maker.pair(one, corruption, f"task {self.name}, {split} pair {number + 1}")
            if pair is not None:
                number += 1
                begun = maker.effort
                yield pair
            elif maker.effort - begun > _MOST_IN_VAIN:
                return

    def _lists(self) -> list[WordList]:
        """The word lists that slots draw from, in order."""
        lists = [slot.words for slot in self._spec.slots.values()]
        return list({words.name: words for words in lists}.values())

    def _too_few(self, combinations: Combinations, maker: Maker, n: int, split: Split, corruption: str) -> PromptError:
        """What to say where there aren't `n` pairs: how many there are, or why there are none.

        Where there are many combinations, a sample tells it.
        """
        looked_at = made = 0
        for one in combinations.drawn(random.Random(0)):
            made += maker.pair(one, corruption, "a pair") is not None
            looked_at += 1
            is_enough = looked_at >= _SAMPLE and combinations.total > _MOST_COUNTED
            if is_enough or (not made and maker.effort > _MOST_IN_VAIN):
                break
        if not made and maker.reasons:
            tried = "" if looked_at == combinations.total else f" of {looked_at:,} combinations that were tried"
            why = maker.reasons.most_common(1)[0][0]
            advice = self._advice()
            if self.files and not self._spec.needs:
                advice = f"change the words, the answers or corruptions.{corruption}"
            return PromptError(f"task {self.name}: no pair can be made with this tokenizer{tried}: {why}; {advice}.")
        if looked_at == combinations.total or made == looked_at:
            total = made if looked_at == combinations.total else combinations.total
            return too_few(self.name, split, n, counted(total, f"different {split} pair"))
        about = counted(round(combinations.total * made / looked_at), f"different {split} pair")
        return too_few(self.name, split, n, f"about {about}")

    def _advice(self) -> str:
        """What to do where too few words fit."""
        if self._spec.needs:
            return f"it needs {self._spec.needs}"
        return "change the words" if self.files else "copy its template and change the words, or write prompt pairs"

    def _check_enough(self, fitting: Fitting, tokenizer: Tokenizer) -> None:
        """Raise :class:`PromptError` where fewer words of a list fit than one prompt and its corruption need."""
        for slot, needed in self._needed().items():
            words = self._spec.slots[slot].words.name
            found, odd = len(fitting.of_slot(slot)), fitting.odd_answers.get(slot, ())
            if found >= needed:
                continue
            if found + len(odd) >= needed:
                why = odd_answer(odd, fitting, tokenizer)
                what = (
                    f"{needed} {words} that can be answered" if needed > 1 else f"one of {words} that can be answered"
                )
                raise PromptError(f"task {self.name} needs {what}, but this tokenizer has {found}: {why}")
            tokens = self._spec.slots[slot].tokens
            size = "that fit" if tokens is None else f"of {'one token' if tokens == 1 else f'{tokens} tokens'} each"
            what = f"{needed} {words} {size}" if needed > 1 else f"one of {words} {size.removesuffix(' each')}"
            raise PromptError(f"task {self.name} needs {what}, but this tokenizer has {found}; {self._advice()}.")

    def _needed(self) -> dict[str, int]:
        """For each slot, how many words a pair needs: one, or, of one slot of each list, all that are of the list."""
        needed: dict[str, tuple[int, str]] = {}
        for layout in self._layouts:
            for corruption in self._spec.corruptions.values():
                counts: dict[str, list[str]] = {}
                for name in layout.drawn:
                    counts.setdefault(self._spec.slots[name].words.name, []).append(name)
                for name, given in corruption.replace.items():
                    if isinstance(given, Draw) and not given.rules and given.words.name in counts:
                        counts[given.words.name].append(name)
                for words, names in counts.items():
                    if len(names) > needed.get(words, (0, ""))[0]:
                        needed[words] = (len(names), names[0])
        all_of = {slot: count for count, slot in needed.values()}
        return all_of | {name: 1 for one in self._layouts for name in one.drawn if name not in all_of}
