"""How a circuit was found, the figures measured on it, and the fingerprint that ties them to its edges."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from acdc.jsondata import check, check_plain, finite, parse, shown

#: What is said in place of figures that can't be vouched for.
EDITED = "edited since it was measured"
UNPROVEN = "measured by an older version; evaluate it again"


@dataclass(frozen=True)
class Provenance:
    """How a circuit was found; every field may be unknown (a circuit of another tool).

    Attributes:
        task: name of the task, or its file.
        model: name or path the model was opened by.
        method: the discovery method (``acdc``).
        metric: the metric that decided (``kl``).
        ablation: what removed edges carry (``corrupted``, ``zero``, ``mean``).
        options: the method's options by name; of ACDC threshold, order, gates and the seed of a random order.
        selection: the rule that chose the edges by their scores, as :mod:`acdc.selection` writes it; unknown
            where the method itself decides.
        n_prompts: prompt pairs used.
        metric_circuit: the metric of this circuit on those pairs.
        metric_ablated: the metric with every edge ablated.
        faithfulness: the share of the model's behaviour that the circuit keeps on those pairs, see
            :func:`acdc.results.faithfulness`; unknown also where it is not defined.
        faithfulness_metric: the metric that this share is of.
        n_held_out: prompt pairs held out.
        metric_held_out: the metric of this circuit on them.
        faithfulness_held_out: the share that it keeps on them.
        fingerprint: hex SHA-256 of the edges, scores and fields that the figures were measured with
            (:meth:`acdc.Circuit.measured`); figures are shown only where it still fits.
        corruption: the task's corruption.
        n: prompt pairs asked for.
        split: the part of the task that they were drawn from.
        seed: of the draw.
        bos: how prompts begin, see :func:`acdc.pairs.tokenize_pair`.
        allow_misaligned: whether pairs whose words stand at other tokens were taken.
        split_input: whether ``embed`` and ``pos_embed`` stand in place of ``input``.
        freeze: what stayed as it is on the clean prompts, by names with commas (:mod:`acdc.models.freezing`).
        skip_bad_pairs: whether pairs that don't fit were left out.
        answers: of a prompt file, the field of right answers.
        wrong_answers: likewise of wrong ones.
        data_sha256: of the tokens of the pairs used.
        held_out_sha256: likewise of those held out.
        model_sha256: of the model's weights.
        dtype: precision that the model ran in.
        directory: where a relative path of `task` or `model` begins.
        edited_from: of a circuit made from another one, which that was and what was done
            (:mod:`acdc.editing`).
        further: keys of a circuit file that this version doesn't know; written back as they are.
        flat: it is of a file that knows ACDC's options alone, as fields of their own, and nothing of the prompts.
            It is written back so, since its fingerprint is of that.
    """

    task: str | None = None
    model: str | None = None
    method: str | None = None
    metric: str | None = None
    ablation: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    selection: Mapping[str, Any] | None = field(default=None, hash=False)
    n_prompts: int | None = None
    metric_circuit: float | None = None
    metric_ablated: float | None = None
    faithfulness: float | None = None
    faithfulness_metric: str | None = None
    n_held_out: int | None = None
    metric_held_out: float | None = None
    faithfulness_held_out: float | None = None
    fingerprint: str | None = None
    corruption: str | None = None
    n: int | None = None
    split: str | None = None
    seed: int | None = None
    bos: str | None = None
    allow_misaligned: bool | None = None
    split_input: bool | None = None
    freeze: str | None = None
    skip_bad_pairs: bool | None = None
    answers: str | None = None
    wrong_answers: str | None = None
    data_sha256: str | None = None
    held_out_sha256: str | None = None
    model_sha256: str | None = None
    dtype: str | None = None
    directory: str | None = None
    edited_from: Mapping[str, Any] | None = field(default=None, hash=False)
    further: Mapping[str, Any] = field(default_factory=dict, compare=False)
    flat: bool = field(default=False, compare=False)

    @property
    def threshold(self) -> float | None:
        """Of ACDC: the largest rise of the metric that a removal may cost."""
        return self.options.get("threshold")

    @property
    def order(self) -> str | None:
        """Of ACDC: the order in which a slot's parents were tried."""
        return self.options.get("order")

    @property
    def gates(self) -> bool | None:
        """Of ACDC: whether whole q, k and v slots were tried first."""
        return self.options.get("gates")

    @property
    def has_figures(self) -> bool:
        """Whether anything measured is in it."""
        return any(getattr(self, name) is not None for name in FIGURES)

    @property
    def known(self) -> dict[str, Any]:
        """What is known of it, by name, as JSON has it."""
        return {name: value for name, value in self._known().items() if value is not None}

    @property
    def without_figures(self) -> dict[str, Any]:
        """:attr:`known` but for what was measured, and the fingerprint of that."""
        hidden = (*FIGURES, "faithfulness_metric", "fingerprint")
        return {name: value for name, value in self.known.items() if name not in hidden}

    def to_json(self) -> dict[str, Any]:
        """What is known of it, and the further keys beside; a number that JSON can't hold becomes ``None``."""
        known, reserved = (self._known(), _FLAT) if self._is_flat else (self.known, KNOWN)
        return known | {name: value for name, value in self.further.items() if name not in reserved}

    @classmethod
    def from_json(cls, found: Any) -> Provenance:
        """Read it from parsed JSON, ``None`` for nothing.

        Raises:
            ValueError: it isn't one; the message names the key.
        """
        if found is None:
            return cls()
        parse(lambda: check_plain(found, "found"))
        check(found, dict, "found")
        flat = "options" not in found
        known = _FLAT if flat else KNOWN
        shapes = {name: _SHAPES[name] for name in known if name in found}
        check(found, shapes, "found")
        values = {name: found[name] for name in shapes}
        if flat:
            options = {name: values.pop(name) for name in _ACDC_OPTIONS if name in values}
            values["options"] = {name: value for name, value in options.items() if value is not None}
        for name in ("options", "selection", "edited_from"):
            _check_scalars(values.get(name) or {}, f"found.{name}")
        edited_from = values.get("edited_from") or {}
        check(edited_from, {key: kind for key, kind in _EDITED_FROM.items() if key in edited_from}, "found.edited_from")
        for edit in edited_from.get("edits", ()):
            check(edit, str, "found.edited_from.edits")
        given = {name: _SHAPES[name] for name in _ACDC_OPTIONS if name in values["options"]}
        check(values["options"], given, "found.options")
        return cls(**values, flat=flat, further={name: found[name] for name in found if name not in known})

    @property
    def _is_flat(self) -> bool:
        """Whether it is of a flat file, and nothing has come to it that such a file can't hold."""
        later = (name for name in KNOWN if name not in _FLAT and name != "options")
        return (
            self.flat and set(self.options) <= set(_ACDC_OPTIONS) and all(getattr(self, name) is None for name in later)
        )

    def _known(self) -> dict[str, Any]:
        """What a file says of it but the further keys."""
        return {name: finite(getattr(self, name)) for name in (_FLAT if self._is_flat else KNOWN)}


#: The fields that are measured on the circuit's own edges.
FIGURES = ("metric_circuit", "metric_ablated", "faithfulness", "n_held_out", "metric_held_out", "faithfulness_held_out")
#: The keys that a circuit file may give.
KNOWN = tuple(one.name for one in fields(Provenance) if one.name not in ("further", "flat"))
#: Options of ACDC that have stood as keys of their own, and all keys of such a file, in its order.
_ACDC_OPTIONS = ("threshold", "order", "gates")
_FLAT = (
    *("task", "model", "method", "metric", "ablation", *_ACDC_OPTIONS, "n_prompts", "metric_circuit"),
    *("metric_ablated", "faithfulness", "faithfulness_metric", "n_held_out", "metric_held_out"),
    *("faithfulness_held_out", "fingerprint"),
)


#: Of the circuit that was edited: its fingerprint, its file where that is known, and what was done, in words.
_EDITED_FROM = {"fingerprint": str, "file": str, "edits": list}
#: What each key of a file must be.
_SHAPES: dict[str, Any] = {
    **dict.fromkeys(KNOWN, str | None),
    **dict.fromkeys(("n_prompts", "n_held_out", "n", "seed"), int | None),
    **dict.fromkeys((name for name in FIGURES if name != "n_held_out"), float | None),
    **dict.fromkeys(("allow_misaligned", "split_input", "skip_bad_pairs"), bool | None),
    **{"threshold": float | None, "order": str | None, "gates": bool | None},
    **{"options": dict, "selection": dict | None, "edited_from": dict | None},
}


def _check_scalars(given: Mapping[str, Any], name: str) -> None:
    """Raise :class:`ValueError` for an option's value that is an object, or a list of anything but plain values."""
    for key, value in given.items():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict | list):
                where = f"{name}.{shown(key)[1:-1]}"
                raise ValueError(f"{where} must be a number, text, true, false, null or a list of these")


def fingerprint(cfg: Mapping[str, Any], edges: Iterable[str], scores: bytes, found: Provenance) -> str:
    """Hex SHA-256 of a circuit with its figures.

    Args:
        cfg: the graph's configuration.
        edges: names of the kept edges, in order.
        scores: of all edges, as bytes.
        found: its known fields count, as far as they are given; the fingerprint itself doesn't.
    """
    given = {name: value for name, value in found.known.items() if name != "fingerprint"}
    digest = hashlib.sha256(json.dumps([cfg, given], sort_keys=True).encode())
    digest.update(json.dumps(list(edges)).encode())
    digest.update(scores)
    return digest.hexdigest()
