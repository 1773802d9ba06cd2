"""All that one call of :func:`acdc.evaluate` judged. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from acdc.displayed import Displayed
from acdc.evaluation.judgement import Judgement
from acdc.evaluation.verdicts import Verdict, by_task, verdict_of


@dataclass(frozen=True, eq=False)
class Report(Displayed, Sequence[Judgement]):
    """Judgements, circuit by circuit, in each task by task, in each used or ``train`` prompts before the others.

    Attributes:
        judgements: all of them; the report is a sequence of these.
        notes: why there is no judgement on prompts that were asked for, in sentences.
    """

    judgements: tuple[Judgement, ...]
    notes: tuple[str, ...] = ()
    _form: ClassVar = "figures:report_form"

    def __len__(self) -> int:
        return len(self.judgements)

    def __getitem__(self, place: Any) -> Any:
        return self.judgements[place]

    def __iter__(self) -> Iterator[Judgement]:
        return iter(self.judgements)

    def __repr__(self) -> str:
        lines = "".join(f"\n  {one!r}" for one in self.judgements)
        return f"Report of {len(self)}:{lines}"

    @property
    def verdict(self) -> tuple[Verdict, ...]:
        """What the figures of each circuit on each task amount to, in sentences."""
        return tuple(verdict_of(together) for together in by_task(self))

    def to_json(self) -> dict[str, Any]:
        """All judgements, see :meth:`Judgement.to_json`, and what they amount to."""
        return {
            "judgements": [one.to_json() for one in self.judgements],
            "verdict": [asdict(one) for one in self.verdict],
            "notes": list(self.notes),
        }

    def rows(self, of: str | None = None) -> list[dict[str, Any]]:
        """A row a prediction of every judgement, see :meth:`Judgement.rows`; all have the columns of all.

        Args:
            of: ``curve``, ``completeness`` or ``tests``: rows of that instead, where it was asked for.
        """
        if of is None:
            rows = [row for one in self.judgements for row in one.rows()]
        else:
            rows = [
                {"circuit": one.circuit, "task": one.task, "which": one.which, **row}
                for one in self.judgements
                if of in one.beside
                for row in one.beside[of].rows()
            ]
        columns = dict.fromkeys(name for row in rows for name in row)
        return [dict.fromkeys(columns) | row for row in rows]
