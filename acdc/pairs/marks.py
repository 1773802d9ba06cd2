"""Special tokens where none belongs, marks that are ordinary text, and text that the tokenizer doesn't know."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from acdc.pairs.bos import added_tokens
from acdc.pairs.encoding import is_unknown
from acdc.pairs.pairs import Prompt, PromptPair
from acdc.pairs.tokenizer import Tokenizer, named_id, special_ids, spelling, tokens_of, unknown_id
from acdc.pairs.tokenizing import TokenPair
from acdc.wording import counted, in_pairs, quoted

Pairs = Sequence[tuple[PromptPair, TokenPair]]

# DeepSeek writes its marks with this in place of "|".
_BAR = "|\uff5c"
# Marks of chat templates and special tokens, as texts hold them.
_MARKS = re.compile(
    rf"<[{_BAR}][^{_BAR}<>\s]{{1,40}}[{_BAR}]>|</?s>|<(?:start|end)_of_turn>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS)\]|<</?SYS>>"
    r"|<(?:bos|eos|pad|unk|mask|sep|cls)>|</?predict>|\[(?:BOS|EOS|CLS|SEP|PAD|UNK|MASK)\]"
)
# Ends of a turn of a chat, which tokenizers name nowhere; no answer follows them.
_TURN_ENDS = re.compile(
    rf"<[{_BAR}](?:eot_id|eom_id|im_end|end|eot|endoftext|end_of_text|END_OF_TURN_TOKEN|return|"
    rf"end\u2581of\u2581sentence)[{_BAR}]>|</s>|<end_of_turn>"
)


def text_in(prompt: Prompt) -> str:
    """The text of a prompt; empty for token ids."""
    return prompt if isinstance(prompt, str) else "".join(piece for piece in prompt if isinstance(piece, str))


def misplaced_marks(pairs: Pairs, tokenizer: Tokenizer) -> Iterator[str]:
    """Special tokens at the end, inside, or before some prompts only; and marks that are no special tokens."""
    texts = [(pair, checked) for pair, checked in pairs if text_in(pair.clean)]
    before, after = added_tokens(tokenizer, "A")
    if after and texts:
        said = ", ".join(repr(spelling(token, tokenizer)) for token in after)
        yield f"the tokenizer puts {said} after every prompt, where no answer follows; the prompts are used without it."
    checked = [pair for _, pair in pairs]
    yield from _ends_and_bounds(checked, tokenizer)
    yield from _unlike_beginnings(checked, special_ids(tokenizer) | set(before), tokenizer)
    yield from _ordinary_marks([pair for pair, _ in pairs], tokenizer)
    yield from _unknown_text(texts, tokenizer)


def _named(tokenizer: Tokenizer, *names: str) -> set[int]:
    return {token for name in names if (token := named_id(tokenizer, name)) is not None}


def _ends_and_bounds(pairs: Sequence[TokenPair], tokenizer: Tokenizer) -> Iterator[str]:
    """Tokens that end or begin whole texts, where an answer is read and elsewhere inside."""
    special = special_ids(tokenizer)
    ends = _named(tokenizer, "eos", "sep", "pad")
    ends |= {token for token in special if _TURN_ENDS.fullmatch(spelling(token, tokenizer))}
    # A chat's own marks stand inside its prompts.
    template = _chat_template(tokenizer)
    bounds = {
        token
        for token in _named(tokenizer, "bos", "eos", "sep", "cls", "pad")
        if spelling(token, tokenizer) not in template
    }
    at_end, inside = [], []
    for pair in pairs:
        read = [token for i in pair.answer_positions if i > 0 and (token := pair.clean[i]) in ends]
        within = [
            token
            for ids in (pair.clean, pair.corrupted)
            for token in ids[next((i for i, token in enumerate(ids) if token not in special), len(ids)) :]
            if token in bounds
        ]
        if read:
            at_end.append(f"{pair.where}: {spelling(read[0], tokenizer)!r}")
        elif within:
            inside.append(f"{pair.where}: {spelling(within[0], tokenizer)!r}")
    if at_end:
        says = "the answer is read after a special token that ends a text"
        yield f"{in_pairs(at_end, len(pairs), says)}; end the prompts before it."
    if inside:
        says = "a special token that begins or ends whole texts stands inside a prompt"
        yield f"{in_pairs(inside, len(pairs), says)}; take it out, unless it is meant."


def _unlike_beginnings(pairs: Sequence[TokenPair], marks: frozenset[int], tokenizer: Tokenizer) -> Iterator[str]:
    marks -= {unknown_id(tokenizer)}  # an unknown word may stand anywhere
    begins = [pair.clean[0] if pair.clean[0] in marks else None for pair in pairs]
    unlike = [
        pair.where
        for pair, begin in zip(pairs, begins, strict=True)
        if begin != (pair.corrupted[0] if pair.corrupted[0] in marks else None)
    ]
    if unlike:
        says = "clean and corrupted don't begin with the same special token"
        yield f"{in_pairs(unlike, len(pairs), says)}; let both begin alike."
    others = [pair.where for pair, begin in zip(pairs, begins, strict=True) if begin != begins[0]]
    if others:
        says = (
            "the prompt begins with a special token, and the first one doesn't"
            if begins[0] is None
            else f"the prompt doesn't begin with {spelling(begins[0], tokenizer)!r} as the first one does"
        )
        yield f"{in_pairs(others, len(pairs), says)}; let all begin alike."


def _ordinary_marks(pairs: Sequence[PromptPair], tokenizer: Tokenizer) -> Iterator[str]:
    """Marks that look like special tokens, and are spelled by this tokenizer like any text."""
    template = _chat_template(tokenizer)
    known: dict[str, bool] = {}
    found = []
    for pair in pairs:
        marks = [mark for prompt in (pair.clean, pair.corrupted) for mark in _MARKS.findall(text_in(prompt))]
        for mark in set(marks) - set(known):
            own = [spelling(token, tokenizer) for token in tokens_of(tokenizer, mark)]
            known[mark] = mark in own or mark in template
        if (other := next((mark for mark in marks if not known[mark]), None)) is not None:
            found.append(f"{pair.where}: {other!r}")
    if found:
        says = "what looks like a special token or a chat template's mark is ordinary text to this tokenizer"
        yield (
            f"{in_pairs(found, len(pairs), says)}; write the prompt as this model was trained on it, or leave the "
            "mark out."
        )


def _chat_template(tokenizer: Tokenizer) -> str:
    return str(getattr(tokenizer, "chat_template", None) or "")


def _unknown_text(texts: Pairs, tokenizer: Tokenizer) -> Iterator[str]:
    unknown = [
        f"{pair.where}: {quoted(text)}"
        for pair, checked in texts
        for text, ids in ((text_in(pair.clean), checked.clean), (text_in(pair.corrupted), checked.corrupted))
        if is_unknown(ids, text, tokenizer)
    ]
    if unknown:
        mark = spelling(named_id(tokenizer, "unk") or 0, tokenizer)
        yield (
            f"{counted(len(unknown), 'prompt')} of {2 * len(texts)} hold text that the tokenizer doesn't know and "
            f"replaces by {mark!r} ({unknown[0]}); use words that it knows."
        )
