"""A task of given pairs, and what is warned of them."""

import warnings

from acdc.errors import AcdcWarning
from acdc.pairs.task import Generated, Task


class Given(Task):
    """The given pairs, whatever is asked for."""

    name, summary, metric, corruptions = "mine", "", "kl", {"given": ""}

    def __init__(self, *pairs):
        self.pairs = pairs

    def generate(self, tokenizer, n, seed, split, corruption):
        return Generated(self.pairs)


def warned(tokenizer, *pairs, **options):
    """The warnings on these pairs."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Given(*pairs).prompts(tokenizer, **options)
    assert {warning.category for warning in caught} <= {AcdcWarning}
    return [str(warning.message) for warning in caught]
