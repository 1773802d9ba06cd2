"""What a run was asked for, as its record keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from acdc.jsondata import check, typed_fields

#: Every request is of one of these on one of those, and judged so.
_ALWAYS = ("task", "model", "metric", "ablation")


@dataclass(frozen=True)
class Request:
    """The arguments of :func:`acdc.discover` that change what is found; ``None`` where a version lacked them.

    Attributes:
        task: name of the task, or its file.
        model: name or path the model was opened by.
        method: name of the method.
        metric: name of the metric.
        ablation: what removed edges carry.
        n: prompt pairs that were used.
        seed: of the prompts, and of a method that draws.
        selection: how edges were chosen by their scores, see :mod:`acdc.selection`; ``None`` where the method decides.
        freeze: what is frozen, by names with commas.
        corruption, bos, allow_misaligned, split_input, skip_bad_pairs, answers, wrong_answers, device, dtype: as there.
        options: the method's own; in the file they stand beside the others.
    """

    task: str | None = None
    model: str | None = None
    method: str | None = None
    metric: str | None = None
    ablation: str | None = None
    n: int | None = None
    seed: int | None = None
    selection: Mapping[str, Any] | None = None
    corruption: str | None = None
    bos: str | None = None
    allow_misaligned: bool | None = None
    split_input: bool | None = None
    freeze: str | None = None
    skip_bad_pairs: bool | None = None
    answers: str | None = None
    wrong_answers: str | None = None
    device: str | None = None
    dtype: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As in a record: one object, the method's options among the others."""
        known = asdict(self)
        return known | known.pop("options")

    @classmethod
    def from_json(cls, given: Any, name: str = "request") -> Request:
        """Read it; what isn't known is an option.

        Raises:
            ValueError: it isn't one; the message names the key.
        """
        values = typed_fields(cls, given, name)
        values.pop("options", None)
        return cls(**values, options={key: value for key, value in given.items() if key not in values})

    def check_whole(self, name: str = "request") -> None:
        """Raise :class:`ValueError` unless what every request has is there."""
        given = {key: value for key in _ALWAYS if (value := getattr(self, key)) is not None}
        check(given, dict.fromkeys(_ALWAYS, str), name)

    def over(self, other: Request) -> Request:
        """Itself, and where it says nothing, another."""
        said = {
            one.name: value
            for one in fields(self)
            if one.name != "options" and (value := getattr(self, one.name)) is not None
        }
        return replace(other, **said, options={**other.options, **self.options})
