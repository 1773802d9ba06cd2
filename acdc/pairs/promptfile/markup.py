"""Edge-Pruning's markup: ``1 + 2 = <predict>3</predict>`` marks what the model shall predict (arXiv 2406.16778)."""

from __future__ import annotations

import re
from dataclasses import replace

from acdc.errors import PromptError
from acdc.pairs import Prompt, PromptPair, Tokenizer

# Also as nobody should write it, so that it is refused and not taken for text.
_ANY = re.compile(r"(?:<|&lt;)\s*/?\s*predict\b[^<>&]*(?:>|&gt;)", re.IGNORECASE)
_ONE_AT_THE_END = re.compile(r"(?P<prompt>.+)<predict>(?P<answer>.+)</predict>", re.DOTALL)


def unmarked(pair: PromptPair) -> tuple[PromptPair, bool]:
    """A pair whose prompts end where the model shall predict, and whether they were marked.

    The clean prompt's marked text is the answer; the corrupted one's is dropped.

    Raises:
        PromptError: the markup isn't one span at a prompt's end, or stands beside answers or positions.
    """
    if not (_is_marked(pair.clean) or _is_marked(pair.corrupted)):
        return pair, False
    if pair.answers or pair.wrong_answers or pair.answer_positions != (-1,):
        raise PromptError(f"{pair.where}: <predict> stands beside answers or a position; give one of them.")
    clean, answer = _parted(pair.clean, pair.where, "clean")
    corrupted, _ = _parted(pair.corrupted, pair.where, "corrupted")
    return replace(pair, clean=clean, corrupted=corrupted, answers=((answer,),)), True


def with_space_moved(pair: PromptPair, tokenizer: Tokenizer) -> PromptPair:
    """A pair that was marked, with the space before its answer where the tokenizer has it.

    In "1 + 2 = <predict>3</predict>" the space is most tokenizers' first part of " 3".
    """
    (answer,), clean, corrupted = pair.answers[0], pair.clean, pair.corrupted
    if not all(isinstance(text, str) and text.endswith(" ") and text[:-1].strip() for text in (clean, corrupted)):
        return pair
    before, whole = (tokenizer.encode(text) for text in (str(clean)[:-1], f"{clean}{answer}"))
    if whole[:-1] != before:
        return pair
    return replace(pair, clean=str(clean)[:-1], corrupted=str(corrupted)[:-1], answers=((f" {answer}",),))


def _is_marked(prompt: Prompt) -> bool:
    return isinstance(prompt, str) and _ANY.search(prompt) is not None


def _parted(prompt: Prompt, where: str, which: str) -> tuple[str, str]:
    text = prompt if isinstance(prompt, str) else ""
    found = _ONE_AT_THE_END.fullmatch(text)
    if found is None or len(_ANY.findall(text)) > 2:
        raise PromptError(
            f"{where}: the {which} prompt must have one <predict>...</predict>, at its end; "
            "write the prompt up to there, and the answer in a field of its own."
        )
    return found["prompt"], found["answer"]
