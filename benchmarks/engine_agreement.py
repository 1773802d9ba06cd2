"""How far two runs of one load agree: in their decisions, in the values that decided, and in what they report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine_runs import WholeRun


@dataclass(frozen=True)
class Agreement:
    """How far a run agrees with an earlier one.

    Attributes:
        prompts: whether both had the same, by the hashes of their tokens.
        decisions: of each.
        alike: so many of the first decisions are about the same edges and turned out alike.
        other: the first that isn't, in words; ``None`` where all are alike.
        value: the largest difference of the metric that decided, of those alike.
        noise_floor: how far rounding alone moves the metric, the larger of what both say.
        number: the largest difference of a number in the results; of one above 1, as a share of it.
        number_at: which it is; ``None`` where they have none in common.
    """

    prompts: bool
    decisions: tuple[int, int]
    alike: int
    other: str | None
    value: float
    noise_floor: float
    number: float
    number_at: str | None

    @property
    def sentences(self) -> list[str]:
        """As text, a line each."""
        lines = [] if self.prompts else ["the runs had other prompts: nothing below compares like with like"]
        if self.other is None:
            lines.append(f"decisions: all {self.alike:,} alike")
        else:
            counts = " and ".join(f"{n:,}" for n in self.decisions)
            lines.append(f"decisions: {self.alike:,} of {counts} alike, then {self.other}")
        lines.append(f"values: at most {self.value:.2g} apart, noise floor {self.noise_floor:.2g}")
        at = f", in {self.number_at}" if self.number else ""
        lines.append(f"numbers reported: at most {self.number:.2g} apart{at}")
        return lines


def agreement(old: WholeRun, new: WholeRun) -> Agreement:
    """Compare two runs."""
    alike, other = 0, None
    for before, now in zip(old.trace, new.trace, strict=False):
        if (before["edge"], before["kept"]) != (now["edge"], now["kept"]):
            other = f"{_said(before)} where it was, {_said(now)} now"
            break
        alike += 1
    else:
        if len(old.trace) != len(new.trace):
            other = "one of them has ended"
    values = [abs(a["after"] - b["after"]) for a, b in zip(old.trace[:alike], new.trace[:alike], strict=True)]
    number, at = _furthest(old.record.get("results") or {}, new.record.get("results") or {})
    return Agreement(
        prompts=old.record["hashes"]["data"] == new.record["hashes"]["data"],
        decisions=(len(old.trace), len(new.trace)),
        alike=alike,
        other=other,
        value=max(values, default=0.0),
        noise_floor=max(old.record["noise_floor"], new.record["noise_floor"]),
        number=number,
        number_at=at,
    )


def _said(decision: Mapping[str, Any]) -> str:
    return f"{decision['edge']} {'stayed' if decision['kept'] else 'went'}"


def _furthest(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[float, str | None]:
    """The number that both have and that differs most, and where it stands."""
    before, now = dict(_numbers(old)), dict(_numbers(new))
    apart = {name: abs(before[name] - now[name]) / max(1.0, abs(before[name])) for name in before.keys() & now.keys()}
    at = max(sorted(apart), key=lambda name: apart[name], default=None)
    return (0.0 if at is None else apart[at]), at


def _numbers(given: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, float]]:
    for name, value in given.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{where}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{where}{name}", float(value)
