"""How a cell ended, beside the run that it left: kept in ``ended/NAME.json`` of a sweep's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from acdc.jsondata import typed_fields

#: A number, or a name.
Figure = float | int | str | None
FINISHED, FAILED = "finished", "failed"


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Attributes:
        status: ``finished`` or ``failed``.
        sentence: why it failed.
        warned: what was warned of, in sentences.
        seconds: that the whole cell took, as far as it wasn't shared with others before it.
        peak_memory_bytes: most that its process held meanwhile, on a GPU most that torch held there.
        estimated_memory_bytes: what the process was expected to hold at most.
        figures: what the run came to, and what was measured besides (curves), by column of the table.
    """

    status: str
    sentence: str | None = None
    warned: tuple[str, ...] = ()
    seconds: float = 0.0
    peak_memory_bytes: int | None = None
    estimated_memory_bytes: int | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As in the file."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Any) -> Outcome:
        """Read it. Raises :class:`ValueError`; the message names the key."""
        values = typed_fields(cls, given, "")
        values["warned"] = tuple(values.get("warned") or ())
        if values["status"] not in (FINISHED, FAILED):
            raise ValueError(f"status is {values['status']!r}, and must be {FINISHED} or {FAILED}")
        return cls(**values)
