"""A tokenizer whose tokens are the symbols of a small vocabulary, for models of algorithmic tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from acdc.asked import shown
from acdc.errors import SettingsError
from acdc.wording import quoted

#: What a text's part that is no symbol becomes. It has the first id behind the symbols', so that a model of as many
#: inputs as symbols has none for it.
UNKNOWN = "<unknown>"
#: A decoder puts a space before each token but those that begin with this, which no symbol can hold.
_NO_SPACE = "\n"


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
    symbols = _checked(vocabulary)
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ids = {symbol: number for number, symbol in enumerate((*symbols, UNKNOWN))}
    made = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.decoder = decoders.WordPiece(prefix=_NO_SPACE, cleanup=False)
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token=UNKNOWN, clean_up_tokenization_spaces=False)


def _checked(vocabulary: Any) -> tuple[str, ...]:
    """The symbols as they are given. Raises :class:`SettingsError` for what can't be some."""
    if not isinstance(vocabulary, list | tuple) or not vocabulary:
        raise SettingsError(f"`vocabulary` must be a list or tuple of symbols, at least one, not {shown(vocabulary)}.")
    for symbol in vocabulary:
        if not isinstance(symbol, str) or len(symbol.split()) != 1 or symbol != symbol.strip():
            raise SettingsError(f"`vocabulary` must hold symbols, text without white space, not {quoted(symbol)}.")
    if UNKNOWN in vocabulary:
        raise SettingsError(f"`vocabulary` holds {UNKNOWN}, which stands for all that is no symbol; name it otherwise.")
    symbol, times = Counter(vocabulary).most_common(1)[0]
    if times > 1:
        raise SettingsError(f"`vocabulary` holds {quoted(symbol)} {times} times; every symbol has one id.")
    return tuple(vocabulary)
