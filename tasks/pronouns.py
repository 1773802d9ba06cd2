"""Gendered pronouns (Mathwin et al. 2023; also appendix K of arXiv 2304.14997).

"So Mary is a really great friend, isn't" is continued with " she".
"""

from __future__ import annotations

import random
from typing import ClassVar

from acdc.pairs import PromptPair, Tokenizer
from acdc.pairs.task import Generated, Split, Task

from .fitting import one_token_words, require_tokenizer
from .names import FEMALE, MALE
from .sampling import draw, in_split

TEMPLATES = ("{who} is a really {adjective} {noun}, isn't", "{who} is such a really {adjective} {noun}, isn't")
NOUNS = ("friend", "person")
ADJECTIVES = tuple(
    """
    great good kind nice smart funny clever brave happy honest gentle lovely sweet strong calm proud quiet friendly
    generous wise cool wonderful
    """.split()  # noqa: SIM905 - a list literal would take a line a word
)
PRONOUNS = {"female": " she", "male": " he"}
OPPOSITE = {"female": "male", "male": "female"}


class Pronouns(Task):
    """Choose the pronoun that a first name calls for."""

    name = "pronouns"
    summary = 'Gendered pronouns: "So Mary is a really great friend, isn\'t" -> " she"'
    metric = "logit-diff"
    corruptions: ClassVar = {
        "that-person": '"That person" in place of "So" and the name',
        "opposite-gender": "a name of the other gender, so that the right answer becomes the wrong one",
    }

    def generate(self, tokenizer: Tokenizer | None, n: int, seed: int, split: Split, corruption: str) -> Generated:
        """Make `n` pairs; the name with the adjective decides the split.

        The clean prompts are the same under every corruption; a name of the other
        gender is one that goes with the adjective in the same split.

        Raises:
            PromptError: no tokenizer, or too few words fit it.
        """
        tokenizer = require_tokenizer(tokenizer, self.name)
        female, odd_female = one_token_words(tokenizer, FEMALE)
        male, odd_male = one_token_words(tokenizer, MALE)
        adjectives, odd_adjectives = one_token_words(tokenizer, ADJECTIVES)
        # For each gender and adjective, the names that go with it in this split.
        names = {
            (gender, adjective): [name for name in every if in_split(split, name, adjective)]
            for gender, every in (("female", female), ("male", male))
            for adjective in adjectives
        }
        subjects = [
            (gender, name, adjective)
            for (gender, adjective), fitting in names.items()
            if names[OPPOSITE[gender], adjective]
            for name in fitting
        ]
        chance = random.Random(f"{self.name} {split} {seed}")
        corrupting = random.Random(f"{self.name} {split} {seed} {corruption}")
        pairs = []
        axes = (subjects, TEMPLATES, NOUNS)
        for number, drawn in enumerate(draw(self.name, split, n, chance, *axes), start=1):
            (gender, name, adjective), template, noun = drawn
            opposite = OPPOSITE[gender]
            if corruption == "that-person":
                other = "That person"
            else:
                other = f"So {corrupting.choice(names[opposite, adjective])}"
            pairs.append(
                PromptPair(
                    clean=template.format(who=f"So {name}", adjective=adjective, noun=noun),
                    corrupted=template.format(who=other, adjective=adjective, noun=noun),
                    answers=((PRONOUNS[gender],),),
                    wrong_answers=((PRONOUNS[opposite],),),
                    where=f"task {self.name}, {split} pair {number}",
                    tags={"template": template.format(who="WHO", adjective="ADJECTIVE", noun="NOUN")},
                )
            )
        return Generated(pairs, {"names": odd_female + odd_male, "adjectives": odd_adjectives})
