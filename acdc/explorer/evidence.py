"""What stands behind a circuit, as tables of a page: its figures, how far to trust them, and how it was found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from acdc.circuit import Circuit
from acdc.comparison.found import settings
from acdc.export.summary import facts, printable
from acdc.results import Evaluation
from acdc.runs.record import Record
from acdc.runs.run import Run
from acdc.runs.words import ALL_IN_WORDS, conservation, cost, how, left_out, metrics_of, result_rows
from acdc.selection import words_of
from acdc.wording import counted, shortened

#: Sums of a method of attribution that are shown, those that are the furthest off; characters of a value.
_MOST_SUMS, _LONGEST = 12, 200
_HASHES = {"trace": "trace", "circuit": "circuit", "fingerprint": "record and all", "task_sha256": "prompt file"}

#: The ends of a figure's interval, of an evaluation's state and quantity; ``None`` where there is none.
Ends = Callable[[Evaluation, str, str], "tuple[float, float] | None"]


def evidence(given: Run | Circuit, ends: Ends | None = None) -> list[dict[str, Any]]:
    """Tables of a run, or of a circuit of which no more is known than its file says.

    Args:
        given: the run or circuit.
        ends: gives 95 % intervals, ``(evaluation, state, quantity) -> (low, high)``, which fill tables of their own;
            a quantity is a metric's name, ``accuracy``, ``logit_difference`` or ``faithfulness``.

    Returns:
        Each with a ``title``, ``columns`` (none: its rows are sentences), ``rows`` of text, and a ``note`` or ``None``.
    """
    if isinstance(given, Circuit):
        return [
            sentences("What is known of it", list(map(_said, facts(given)))),
            table("How it was found", ("", ""), _pairs(settings(given.found))),
        ]
    record, circuit = given.record, given.circuit
    edited = circuit.found.edited_from is not None and circuit.doubt is None
    found = [sentences("Verdict", ["It was edited, and not measured since."] if edited else given.verdict)]
    if circuit.doubt is None and not edited:
        found += _figures(given, ends)
        found += _trust(record, circuit)
    found.append(table("How it was found", ("", ""), _how(record)))
    found.append(table("What it took", ("", ""), _cost(record)))
    found.append(table("Versions and hashes", ("", ""), _versions(record), note="Hashes are SHA-256."))
    return [one for one in found if one["rows"]]


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str | None = None) -> dict[str, Any]:
    """A table as a page reads it."""
    return {"title": title, "columns": list(columns), "rows": [list(row) for row in rows], "note": note}


def sentences(title: str, said: Sequence[str]) -> dict[str, Any]:
    """The same of sentences alone."""
    return table(title, (), [[one] for one in said])


def _said(phrase: str) -> str:
    """A phrase as a sentence."""
    return f"{phrase[:1].upper()}{phrase[1:]}."


def _figures(run: Run, ends: Ends | None) -> Iterator[dict[str, Any]]:
    """What model, circuit and the rest do, on the prompts used and on those held out."""
    for evaluation, title in ((run.used, "On the {} used"), (run.held_out, "On {}, held out")):
        if evaluation is None:
            why = run.record.no_held_out
            yield sentences("Held-out prompts", [f"There is no result on them: {why}" if why else "There are none."])
            continue
        metrics = metrics_of(run.record)
        states = {name: words for name, words in ALL_IN_WORDS.items() if name in evaluation.states}
        share = evaluation.faithfulness_metric
        note = (
            "Metrics say how much worse than the model it is; the complement is the model without the circuit's edges"
        )
        note += f"; faithfulness is by {share}." if share else "."
        title = title.format(counted(evaluation.n_prompts, "prompt"))
        yield table(title, ("", *states.values()), result_rows(evaluation, metrics, states), note)
        if ends is not None:
            rows = list(_intervals(evaluation, metrics, ends))
            yield table(f"{title}: 95 % intervals", ("of the circuit's", "from", "to"), rows, "Bootstrap over prompts.")


def _intervals(evaluation: Evaluation, metrics: Sequence[str], ends: Ends) -> Iterator[tuple[str, str, str]]:
    """Those of the circuit's figures that have one."""
    names = [name for name in dict.fromkeys(metrics) if name in evaluation.circuit.metrics]
    words = {name: f"worse by {name}" for name in names} | {"faithfulness": "faithfulness", "accuracy": "right"}
    for name, said in (words | {"logit_difference": "logit difference"}).items():
        if (found := ends(evaluation, "circuit", name)) is not None:
            form = "{:.1%}" if name in ("faithfulness", "accuracy") else "{:.3g}"
            low, high = (form.format(end + 0.0) for end in found)
            yield said, low, high


def _trust(record: Record, circuit: Circuit) -> Iterator[dict[str, Any]]:
    """What the scores add up to, what rounding could have turned, and what isn't in the circuit."""
    if (told := record.conservation) is not None:
        note = conservation(told).removeprefix("conservation: ")
        sums = _sums(told.get("parts"))
        columns = ("at", "scores add up to", "expected")
        yield table("Conservation", columns, sums, _said(note)) if sums else sentences("Conservation", [_said(note)])
    noise = []
    if record.noise_floor is not None:
        noise.append(("rounding alone moves the metric by", f"{record.noise_floor:.2g}"))
        noise.append(("decisions that rounding could have turned", str(record.within_noise or 0)))
    if record.self_check is not None:
        noise += [(f"nodes against the model: {name}", words) for name, words in _pairs(record.self_check)]
    yield table("Noise floor", ("", ""), noise)
    said = [one for one in left_out(record, circuit.n_edges) if not one.startswith("within")]
    if record.left_out:
        dropped = ", ".join(f"{count} {printable(kind)}" for kind, count in record.left_out.items() if count)
        said += [f"left out of the prompts: {dropped}"] if dropped else []
    yield sentences("What was left out", list(map(_said, said)) or ["Nothing."])
    if record.search:
        yield table("Thresholds that were tried for the budget", ("threshold", "edges"), _search(record.search))
    if record.masks is not None:
        yield table("Masks", ("", ""), _pairs(record.masks))


def _sums(parts: Any) -> list[tuple[str, str, str]]:
    """Those that are the furthest off, and how many more there are."""
    if not isinstance(parts, Mapping):
        return []
    known = [
        (str(name), float(both[0]), float(both[1]))
        for name, both in parts.items()
        if isinstance(both, list) and len(both) == 2 and all(isinstance(one, int | float) for one in both)
    ]
    known.sort(key=lambda row: -abs(row[1] - row[2]))
    rows = [(printable(name), f"{got:.5g}", f"{wanted:.5g}") for name, got, wanted in known[:_MOST_SUMS]]
    if (more := len(known) - _MOST_SUMS) > 0:
        rows.append((f"and {more} more, less far off", "", ""))
    return rows


def _search(tried: Sequence[Any]) -> list[tuple[str, str]]:
    return [(_words(one.get("threshold")), _words(one.get("edges"))) for one in tried if isinstance(one, Mapping)]


def _how(record: Record) -> list[tuple[str, str]]:
    request = record.request
    said = {name: value for name, value in request.to_json().items() if name not in ("selection", "n")}
    said["prompt pairs"] = request.n
    if request.selection is not None:
        said["selection"] = words_of(request.selection)
    return [("in short", how(record)), *_pairs(said)]


def _cost(record: Record) -> list[tuple[str, str]]:
    memory = None if record.peak_memory_bytes is None else f"{record.peak_memory_bytes / 2**20:,.0f} MiB"
    graph = record.graph or {}
    told = {
        "seconds": record.seconds,
        "edges tried": record.tried,
        "passes": record.passes,
        "runs of the model": cost(record.cost or {}) or None,
        "engine": record.engine,
        "prompts at a time": record.batch_size,
        "threads": record.threads,
        "memory at most": memory,
        "graph": ", ".join(f"{words} {name}" for name, words in _pairs(graph)) or None,
        "started": record.started,
    }
    return _pairs(told)


def _versions(record: Record) -> list[tuple[str, str]]:
    hashes = {f"{name} hash": value for name, value in record.hashes.items()}
    sealed = {f"{words} hash": getattr(record, name) for name, words in _HASHES.items()}
    return _pairs({**record.versions, **hashes, **sealed})


def _pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values in words; what isn't known is left out."""
    return [
        (printable(str(name)).replace("_", " "), words)
        for name, value in values.items()
        if (words := _words(value)) not in ("", "unknown")
    ]


def _words(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}" if math.isfinite(value) else "unknown"
    if isinstance(value, Mapping):
        return shortened(", ".join(f"{name} {words}" for name, words in _pairs(value)), _LONGEST)
    if isinstance(value, list | tuple):
        return shortened(", ".join(map(_words, value)), _LONGEST)
    return f"{value:,}" if isinstance(value, int) else shortened(printable(str(value)), _LONGEST)
