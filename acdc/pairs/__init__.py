"""Prompt pairs: what a task supplies, and what the engine runs on.

A :class:`PromptPair` is text (or token ids) as somebody wrote it. A
:class:`TokenPair` is the same pair under one tokenizer, checked: both prompts have
the same number of tokens and line up word by word where that can be told, every answer
is one token, every answer position lies in the prompt. A :class:`PromptSet` is a list
of those with where they came from.

Nothing here imports torch or transformers.
"""

from acdc.pairs.lint import doubts
from acdc.pairs.pairs import Prompt, PromptPair
from acdc.pairs.promptset import PromptSet
from acdc.pairs.tokenizer import Tokenizer, show_tokens, text_of
from acdc.pairs.tokenizing import TokenPair, tokenize_pair

__all__ = [
    "Prompt",
    "PromptPair",
    "PromptSet",
    "TokenPair",
    "Tokenizer",
    "doubts",
    "show_tokens",
    "text_of",
    "tokenize_pair",
]
