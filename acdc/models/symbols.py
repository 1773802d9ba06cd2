"""A tokenizer whose tokens are the symbols of a small vocabulary, for models of algorithmic tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acdc.pairs.symbols import UNKNOWN, symbol_backend


def symbol_tokenizer(vocabulary: Sequence[str]) -> Any:
    r"""A Hugging Face tokenizer that parts a text at white space and gives each symbol its place in `vocabulary`.

        >>> tokenizer = symbol_tokenizer(("a", "b", ">"))
        >>> tokenizer.encode("b a > a"), tokenizer.decode([1, 0])
        ([1, 0, 2, 0], 'b a')

    Nothing is put before or after a text. What is no symbol gets the id ``len(vocabulary)``, and is
    refused by a model that has ``len(vocabulary)`` inputs. ``save_pretrained`` writes it into a model's folder.

    Args:
        vocabulary: the symbols, in the order of their ids; each any text without white space.

    Returns:
        A ``PreTrainedTokenizerFast``.

    Raises:
        SettingsError: there are no symbols, or one is no text, empty, there twice, or holds white space.
    """
    backend = symbol_backend(vocabulary)
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=UNKNOWN, clean_up_tokenization_spaces=False)
