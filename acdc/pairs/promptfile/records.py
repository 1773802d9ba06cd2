"""What a prompt file holds before it is understood: one record of named values a pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from acdc.errors import PromptError


@dataclass(frozen=True)
class Record:
    """One line, row or object of a prompt file.

    Attributes:
        where: file and line, for messages.
        fields: its values by name. In a table they are text, ``None`` where the row is too short.
        error: why there are none: the line can't be read.
        typed: whether values tell text from numbers, as in JSON; in a table they don't.
    """

    where: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    error: PromptError | None = None
    typed: bool = True
