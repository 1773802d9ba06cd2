"""What acdc asks of a tokenizer: ids, spellings, and which of its tokens are special."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

#: How a token's spelling says that a space belongs to it: as it is, byte-level, SentencePiece.
SPACES = (" ", "\u0120", "\u2581")


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that acdc uses.

    Its special tokens (``bos_token_id``, ``all_special_ids`` and so on) and ``decode`` are
    used where there are such.
    """

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Text to token ids."""
        ...

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """Token ids to the tokens' spellings, for messages."""
        ...


def tokens_of(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a text, without those that the tokenizer adds."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def tokens_of_each(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """:func:`tokens_of` of each text; transformers' own tokenizers take them together, which is faster by far."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    is_own = type(tokenizer).__module__.startswith("transformers.") and hasattr(backend, "encode_batch")
    if is_own and backend is not None and backend.truncation is None and backend.padding is None:
        return [found.ids for found in backend.encode_batch(list(texts), add_special_tokens=False)]
    return [tokens_of(tokenizer, text) for text in texts]


def named_id(tokenizer: Tokenizer | None, name: str) -> int | None:
    """The id of the special token ``bos``, ``eos``, ``sep``, ``pad``, ``cls`` or ``unk``, if there is one."""
    found = getattr(tokenizer, f"{name}_token_id", None)
    return found if isinstance(found, int) else None


def unknown_id(tokenizer: Tokenizer | None) -> int | None:
    """The token for what a tokenizer doesn't know, if there is anything that it doesn't.

    Where the named one begins or ends texts besides, as GPT-2's, there is nothing.
    """
    unknown = named_id(tokenizer, "unk")
    return None if unknown in (named_id(tokenizer, "bos"), named_id(tokenizer, "eos")) else unknown


def special_ids(tokenizer: Tokenizer | None) -> frozenset[int]:
    """Tokens that stand for no text: the named ones, and all others that are marked as special."""
    added = getattr(tokenizer, "added_tokens_decoder", None) or {}
    marked = {i for i, token in added.items() if getattr(token, "special", False)}
    return frozenset(marked | set(getattr(tokenizer, "all_special_ids", None) or ()))


def show_tokens(ids: Sequence[int], tokenizer: Tokenizer | None) -> str:
    """A token list for a message: spellings where there is a tokenizer, else the ids."""
    if tokenizer is None:
        return str(list(ids))
    return str([spelling(i, tokenizer) for i in ids])


def spelling(token: int, tokenizer: Tokenizer) -> str:
    """How a token is spelled; its number where the tokenizer has none of that id."""
    try:
        (found,) = tokenizer.convert_ids_to_tokens([token])
    except (OverflowError, IndexError, KeyError, ValueError):
        found = None
    return str(token) if found is None else str(found)


def text_of(ids: Sequence[int], tokenizer: Tokenizer | None, before: Sequence[int] = ()) -> str:
    """The text that tokens stand for where they follow `before`; the ids where there is no tokenizer.

    Decoded together with what stands before, because decoders drop the space that begins a text.
    """
    if tokenizer is None:
        return str(list(ids))
    decode = getattr(tokenizer, "decode", None)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if callable(decode) and (backend is None or backend.decoder is not None):  # without, tokens are joined by spaces
        try:
            start, whole = (
                decode(list(some), clean_up_tokenization_spaces=False) for some in (before, [*before, *ids])
            )
        except (OverflowError, TypeError, ValueError):
            start, whole = "", ""
        if len(whole) > len(start) and whole.startswith(start):
            return whole[len(start) :]
    return "".join(plain_spelling(i, tokenizer) for i in ids)


def plain_spelling(token: int, tokenizer: Tokenizer) -> str:
    """How a token is spelled, with a space where the spelling has a mark for one."""
    text = spelling(token, tokenizer)
    return f" {text[1:]}" if text.startswith(SPACES) else text
