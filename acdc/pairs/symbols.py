"""Symbols as tokens: what a tokenizer of a small vocabulary is made of, without transformers."""

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


def symbol_backend(vocabulary: Sequence[str]) -> Any:
    """A ``tokenizers.Tokenizer`` that parts a text at white space and gives each symbol its place in `vocabulary`.

    Its ``save(path)`` writes a ``tokenizer.json``; :func:`acdc.models.symbols.symbol_tokenizer` makes a Hugging Face
    tokenizer of it.

    Raises:
        SettingsError: as that does.
    """
    symbols = _checked(vocabulary)
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    ids = {symbol: number for number, symbol in enumerate((*symbols, UNKNOWN))}
    made = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.decoder = decoders.WordPiece(prefix=_NO_SPACE, cleanup=False)
    return made


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
