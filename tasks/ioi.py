"""Indirect object identification (Wang et al. 2022, arXiv 2211.00593).

"When Mary and John went to the store, John gave a drink to" is continued with
" Mary": of the two names, the one that was not repeated.
"""

from __future__ import annotations

import random
from itertools import combinations
from typing import ClassVar

from acdc.errors import PromptError
from acdc.pairs import PromptPair, Tokenizer
from acdc.pairs.task import Generated, Split, Task

from .fitting import one_token_words, require_tokenizer
from .names import FEMALE, MALE
from .sampling import draw, in_split

# {0} and {1} are the names in the order of their first mention, {2} is the giver. With
# the indirect object first a prompt is ABBA, with the subject first it is BABA.
TEMPLATES = (
    "When {0} and {1} went to the {place}, {2} gave a {object} to",
    "After {0} and {1} arrived at the {place}, {2} handed a {object} to",
    "While {0} and {1} were waiting at the {place}, {2} passed a {object} to",
    "Then {0} and {1} walked to the {place} and {2} gave a {object} to",
    "Last week {0} and {1} met at the {place}, so {2} brought a {object} to",
)
PLACES = tuple(
    """
    store park garden school office beach station kitchen museum library hospital market restaurant church house
    theater
    """.split()  # noqa: SIM905 - a list literal would take a line a word
)
# All of them go with "a".
OBJECTS = tuple(
    """
    drink ring book letter ball key hat flower basket bottle computer necklace ticket map cup lamp
    """.split()  # noqa: SIM905 - a list literal would take a line a word
)
# A clean prompt's two names and three others.
MIN_NAMES = 5


class IndirectObjects(Task):
    """Name the indirect object: two people meet, one gives something to the other."""

    name = "ioi"
    summary = 'Indirect objects: "When Mary and John went to the store, John gave a drink to" -> " Mary"'
    metric = "logit-diff"
    corruptions: ClassVar = {
        "abc": "three other names, none of them twice, so that no name is the right one",
        "swapped-names": "the other one of the two gives, so that the right answer becomes the wrong one",
    }

    def generate(self, tokenizer: Tokenizer | None, n: int, seed: int, split: Split, corruption: str) -> Generated:
        """Make `n` pairs; the two names decide the split.

        The clean prompts are the same under every corruption.

        Raises:
            PromptError: no tokenizer, or too few words fit it.
        """
        tokenizer = require_tokenizer(tokenizer, self.name)
        names, odd_names = one_token_words(tokenizer, FEMALE + MALE)
        places, odd_places = one_token_words(tokenizer, PLACES)
        objects, odd_objects = one_token_words(tokenizer, OBJECTS)
        if len(names) < MIN_NAMES:
            raise PromptError(
                f"task {self.name} needs {MIN_NAMES} names of one token each, but this tokenizer has {len(names)}; "
                "write a file of prompt pairs instead."
            )
        couples = [couple for couple in combinations(names, 2) if in_split(split, *couple)]
        chance = random.Random(f"{self.name} {split} {seed}")
        corrupting = random.Random(f"{self.name} {split} {seed} {corruption}")
        pairs = []
        axes = (couples, (0, 1), (0, 1), TEMPLATES, places, objects)
        for number, drawn in enumerate(draw(self.name, split, n, chance, *axes), start=1):
            couple, first, giver, template, place, thing = drawn
            mentioned = (couple[first], couple[1 - first])
            subject, indirect_object = mentioned[giver], mentioned[1 - giver]
            if corruption == "abc":
                others = [name for name in names if name not in couple]
                filling = corrupting.sample(others, 3)
            else:
                filling = [*mentioned, indirect_object]
            pairs.append(
                PromptPair(
                    clean=template.format(*mentioned, subject, place=place, object=thing),
                    corrupted=template.format(*filling, place=place, object=thing),
                    answers=((f" {indirect_object}",),),
                    wrong_answers=((f" {subject}",),),
                    where=f"task {self.name}, {split} pair {number}",
                    tags={"template": template.format("A", "B", "AB"[giver], place="PLACE", object="OBJECT")},
                )
            )
        return Generated(pairs, {"names": odd_names, "places": odd_places, "objects": odd_objects})
