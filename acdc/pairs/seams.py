"""Where prompt and answer meet: a space too many, one too few, answers spelled in different ways."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from acdc.pairs.context import tokens_after, tokens_inside
from acdc.pairs.marks import text_in
from acdc.pairs.pairs import PromptPair
from acdc.pairs.tokenizer import Tokenizer, plain_spelling, special_ids, spelling, text_of
from acdc.pairs.tokenizing import TokenPair
from acdc.wording import in_pairs, quoted

_SPACE_KEYS = " \t\u00a0"
#: After these a new word begins with a space ...
_BEFORE_A_SPACE = ",;:.!?)]%"
#: (a sign that stands by itself, as in "1 + 2 =", too) ...
_SIGNS = "=+>&|\u2013\u2014\u2192"
#: ... and after these without one.
_OPENING = "([{<\"'\u201c\u2018\u00ab"
# From Thai on, scripts hardly put spaces between words.
_FIRST_UNSPACED = "\u0e00"
_SHOWN = 20


def odd_seams(pairs: Sequence[tuple[PromptPair, TokenPair]], tokenizer: Tokenizer) -> Iterator[str]:
    """Spaces between a prompt's end and its answers that tokens wouldn't have there."""
    found: dict[str, list[str]] = defaultdict(list)
    for pair, checked in pairs:
        says, example = _odd_seam(pair, checked, tokenizer) or ("", "")
        if says:
            found[says].append(f"{pair.where}: {example}")
    for says, advice, _ in _KINDS:
        if found[says]:
            yield f"{in_pairs(found[says], len(pairs), says)}; {advice}."


def _odd_seam(pair: PromptPair, checked: TokenPair, tokenizer: Tokenizer) -> tuple[str, str] | None:
    """What is odd at the first of a pair's answer positions where something is, and how it reads."""
    text = text_in(pair.clean)
    as_pieces = not isinstance(pair.clean, str)  # whose borders are meant
    if not text or (as_pieces and not text[-1].isspace()):
        return None
    for i, place in enumerate(checked.answer_positions):
        at_end, before = place == len(checked.clean) - 1, checked.clean[: place + 1]
        if as_pieces and not at_end:
            continue
        start = text if at_end else text_of(before, tokenizer)
        tokens = [token for group in (checked.answers, checked.wrong_answers) if group for token in group[i]]
        answers = [answer for token in tokens if (answer := text_of([token], tokenizer, before))]
        if not start or not (answers or at_end):
            continue
        # Where no answer is given, any word may follow.
        for says, _, holds in _KINDS if answers and not as_pieces else _KINDS[:2]:
            odd = next((answer for answer in answers or ["a"] if holds(start, answer, tokenizer)), None)
            if odd is not None:
                return says, quoted(start[-_SHOWN:]) + (f" and {quoted(odd)}" if answers else "")
    return None


def _ends_in_break(prompt: str, answer: str, tokenizer: Tokenizer) -> bool:
    """Whether the prompt ends in line breaks that are other tokens before a word."""
    return prompt[-1] in "\r\n" and not answer[0].isspace() and tokens_after(tokenizer, prompt, answer) is None


def _ends_in_space(prompt: str, answer: str, tokenizer: Tokenizer) -> bool:
    """Whether the prompt ends in a space that is part of a following word's token, or the text would have two."""
    if not prompt[-1].isspace() or prompt[-1] in "\r\n":
        return False
    twice = prompt[-1] in _SPACE_KEYS and answer[0].isspace()
    return twice or (not answer[0].isspace() and tokens_after(tokenizer, prompt, answer) is None)


def _needs_no_space(prompt: str, answer: str, tokenizer: Tokenizer) -> bool:
    """Whether the answer begins with a space after a bracket, a quotation mark or a line break."""
    return answer[0] in _SPACE_KEYS and (prompt[-1].isspace() or _opens(prompt))


def _opens(prompt: str) -> bool:
    """Whether the prompt ends in what opens a bracket or a quotation."""
    if prompt[-1] not in _OPENING:
        return False
    return prompt[-1] not in "\"'" or not prompt[:-1] or prompt[-2].isspace() or prompt[-2] in _OPENING


def _lacks_space(prompt: str, answer: str, tokenizer: Tokenizer) -> bool:
    """Whether the answer begins with a letter or digit after a word or a sign; with a space it is another token."""
    last, first = prompt[-1], answer[0]
    if not first.isalnum() or first >= _FIRST_UNSPACED or last >= _FIRST_UNSPACED:
        return False
    after_sign = last in _SIGNS and prompt.rstrip(f"{_SIGNS}-")[-1:].isspace()
    if not (last.isalnum() or last in _BEFORE_A_SPACE or after_sign) or (
        first.isdigit() and (last.isdigit() or last in ".,:")
    ):
        return False
    spaced = tokens_after(tokenizer, prompt, f" {answer}")
    # Tokenizers of whole words make the same of both.
    return spaced is not None and len(spaced) == 1 and spaced != tokens_inside(tokenizer, answer, prompt)


#: What is found, what to do about it, and the check of a prompt's text and an answer's.
_KINDS: tuple[tuple[str, str, Callable[[str, str, Tokenizer], bool]], ...] = (
    (
        "the prompt ends in a space",
        "end it before the space, and begin the answers with it, as this tokenizer's words do",
        _ends_in_space,
    ),
    (
        "the prompt ends in line breaks that are other tokens before a word",
        "leave one, or give pieces of text or token ids",
        _ends_in_break,
    ),
    ("the answer begins with a space where none belongs", "leave the space out of the answers", _needs_no_space),
    (
        "the answer lacks the space that begins a new word",
        "begin the answers with a space, unless they go on with the prompt's last word",
        _lacks_space,
    ),
)


def odd_answers(pairs: Sequence[TokenPair], tokenizer: Tokenizer) -> Iterator[str]:
    """Answers of which some begin with a space, and ids that are hardly meant."""
    special = special_ids(tokenizer)
    unlike, odd = [], []
    for pair in pairs:
        for at_position in zip(*(group for group in (pair.answers, pair.wrong_answers) if group), strict=True):
            tokens = [token for answers in at_position for token in answers]
            words = [text for token in tokens if _is_word(text := plain_spelling(token, tokenizer))]
            spaced = [text for text in words if text.startswith(" ")]
            if 0 < len(spaced) < len(words):
                bare = next(text for text in words if text not in spaced)
                unlike.append(f"{pair.where}: {spaced[0]!r} and {bare!r}")
                break
        for token in (token for group in (pair.answers, pair.wrong_answers) for ids in group for token in ids):
            if token in special or not _exists(token, tokenizer):
                odd.append(f"{pair.where}: {token} is {spelling(token, tokenizer)!r}")
                break
    if unlike:
        says = "some answers begin with a space and others don't"
        yield f"{in_pairs(unlike, len(pairs), says)}; spell all alike, or the space may be what tells them apart."
    if odd:
        says = "an answer is a special token, or none of the tokenizer's"
        yield f"{in_pairs(odd, len(pairs), says)}; check that the token ids are of this tokenizer."


def _is_word(text: str) -> bool:
    return text.lstrip()[:1].isalnum()


def _exists(token: int, tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer has a token of this id; models often have room for some more."""
    return tokenizer.convert_ids_to_tokens([token])[0] is not None
