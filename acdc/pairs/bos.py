"""What stands before a prompt: the tokens that a tokenizer adds, and whether acdc does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from acdc.errors import PromptError, SettingsError, UnknownNameError
from acdc.pairs.encoding import Body
from acdc.pairs.tokenizer import Tokenizer, named_id, special_ids, spelling, tokens_of, unknown_id
from acdc.wording import quoted

if TYPE_CHECKING:
    from acdc.pairs.tokenizing import TokenPair

#: ``auto``: as the tokenizer does; ``yes``: exactly one BOS; ``no``: acdc adds none.
BOS = ("auto", "yes", "no")


@dataclass(frozen=True)
class Beginning:
    """What is put before a prompt's own tokens.

    Attributes:
        ids: the tokens.
        shift: how many more they are than under ``auto``; positions move by it.
    """

    ids: tuple[int, ...]
    shift: int


def check_bos(bos: str, tokenizer: Tokenizer | None) -> None:
    """Check a choice of :data:`BOS`.

    Raises:
        UnknownNameError: there is no such choice.
        SettingsError: a BOS is asked for where there is none.
    """
    if not isinstance(bos, str):
        raise SettingsError(f"`bos` must be auto, yes or no, not {quoted(bos)}.")
    if bos not in BOS:
        raise UnknownNameError("bos", bos, BOS)
    if bos == "yes" and named_id(tokenizer, "bos") is None:
        which = "there is no tokenizer that names one" if tokenizer is None else "the tokenizer has none"
        raise SettingsError(f'`bos="yes"` puts a BOS before every prompt, but {which}; give `bos="auto"`.')


def added_tokens(tokenizer: Tokenizer, text: str, where: str = "the tokenizer") -> tuple[tuple[int, ...], ...]:
    """The tokens that a tokenizer adds before and after a text, or after its first piece.

    Raises:
        PromptError: it does more than to add some.
    """
    own, whole = tokens_of(tokenizer, text), tokenizer.encode(text, add_special_tokens=True)
    for start in range(len(whole) - len(own) + 1):
        if list(whole[start : start + len(own)]) == own:
            return tuple(whole[:start]), tuple(whole[start + len(own) :])
    raise PromptError(
        f"{where}: with special tokens, the tokenizer changes those of the text {quoted(text)} itself; give token ids."
    )


def beginning(body: Body, tokenizer: Tokenizer | None, bos: str, where: str) -> Beginning:
    """What to put before a prompt.

    Args:
        body: the prompt's own tokens.
        tokenizer: its tokenizer; none for token ids.
        bos: one of :data:`BOS`. To token ids nothing is added but by ``yes``.
        where: for messages.

    Raises:
        PromptError: the prompt would begin with two BOS.
    """
    text = next((piece for piece in body.pieces if piece), None)
    usual: tuple[int, ...] = ()
    if tokenizer is not None and text is not None:
        usual = added_tokens(tokenizer, text, where)[0]
    begin = usual if bos == "auto" else ()
    mark = named_id(tokenizer, "bos")
    if bos == "yes" and mark is not None:
        others = tuple(token for token in usual if token != mark)
        begin = others if body.ids[:1] == (mark,) else (mark, *others)
    if tokenizer is not None:
        _check_twice(begin, body, tokenizer, where)
    return Beginning(begin, len(begin) - len(usual))


def _check_twice(begin: tuple[int, ...], body: Body, tokenizer: Tokenizer, where: str) -> None:
    mark = named_id(tokenizer, "bos")
    if mark is not None and begin.count(mark) > 1:
        raise PromptError(
            f"{where}: the tokenizer puts {begin.count(mark)} {spelling(mark, tokenizer)!r} before every prompt; give "
            '`bos="yes"` for one.'
        )
    if begin and (body.ids[: len(begin)] == begin or body.ids[0] == begin[-1]):
        said = spelling(body.ids[0], tokenizer)
        raise PromptError(
            f"{where}: the prompt begins with {said!r} already, and the tokenizer adds another one; give "
            '`bos="no"`, or take it out of the text.'
        )
    if mark is not None and body.ids[:2] == (mark, mark):
        raise PromptError(f"{where}: the prompt begins with two {spelling(mark, tokenizer)!r}; take one out.")


def beginnings_in_words(pairs: Sequence[TokenPair], tokenizer: Tokenizer) -> str:
    """What the prompts begin with, and which special tokens they hold besides, for the start of a run."""
    special = special_ids(tokenizer) | set(added_tokens(tokenizer, "A")[0])
    prompts = [ids for pair in pairs for ids in (pair.clean, pair.corrupted)]
    marks = special - {unknown_id(tokenizer)}  # an unknown word may stand anywhere
    begins = Counter(ids[0] if ids[0] in marks else None for ids in prompts)
    inside = sorted({token for ids in prompts for token in ids[1:] if token in special})
    held = ", ".join(repr(spelling(token, tokenizer)) for token in inside)
    return _begins_in_words(begins, tokenizer) + (f"; special tokens inside: {held}" if inside else "")


def _begins_in_words(begins: Mapping[int | None, int], tokenizer: Tokenizer) -> str:
    mark = named_id(tokenizer, "bos")
    if set(begins) == {None}:
        has = (
            "none" if mark is None else f'{spelling(mark, tokenizer)!r} (`bos="yes"` as EAP-IG, MIB and AutoCircuit do)'
        )
        return f"prompts begin without a BOS; the tokenizer has {has}"
    said = {token: "no special token" if token is None else repr(spelling(token, tokenizer)) for token in begins}
    if len(begins) == 1:
        return f"prompts begin with {next(iter(said.values()))}"
    return "prompts begin with " + ", ".join(f"{said[token]} ({count})" for token, count in begins.items())
