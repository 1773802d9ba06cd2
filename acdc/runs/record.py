"""``run.json``: what was asked, on what, with which versions, what it took and what came out.

The fields of :class:`Record` are the shape of the file, told here once: reading checks them by their types
(:func:`acdc.jsondata.typed_fields`, whose messages name the key), and keys that aren't known survive. The seal is
made of the file's own words (:mod:`acdc.runs.seal`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from acdc.errors import SettingsError
from acdc.graph import GraphConfig
from acdc.jsondata import check, shown, typed_fields
from acdc.provenance import Provenance
from acdc.results import STATES, Evaluation
from acdc.runs.request import Request

#: The newest layout of a record that this version reads, and the one that it writes. Circuits of the first have
#: provenance that knows ACDC's options alone.
FORMAT = 2
RUNNING, FINISHED = "running", "finished"
_LONGEST = 1e10  # seconds; three centuries
#: What a finished run's record has besides, whatever its method; and what one of decisions has.
_CAME_OUT = ("usual_metric", "results")
_DECIDED = ("noise_floor", "tried", "kept", "within_noise")
#: What a method measures itself.
MEASURED = (
    *("noise_floor", "drops_are_free", "tried", "kept", "within_noise", "passes", "last_metric", "cost"),
    *("conservation", "search", "found_threshold", "unseen", "masks"),
)
#: What a record has besides that is tied to its trace and circuit.
_SEAL = ("trace", "cfg", "verdict")
#: The states that runs of all versions have.
_STATES = ("corrupted", "circuit", "ablated")
_FAITHFULNESS = {"faithfulness": float | None, "faithfulness_metric": str}
_BEHAVIOUR = {"metrics": dict, "accuracy": float | None, "logit_difference": float | None}


@dataclass(frozen=True)
class Asked:
    """What was asked of which the request has only the outcome.

    Attributes:
        n: prompt pairs; ``None`` for the task's own number.
        engine: by name.
        batch_size: prompts at a time, or ``auto``.
    """

    n: int | None = None
    engine: str | None = None
    batch_size: int | str | None = None


@dataclass(frozen=True)
class Results:
    """A circuit as evaluated on the prompts that it was found on, and on held-out ones if there were any."""

    used: Evaluation
    held_out: Evaluation | None = None

    def to_json(self) -> dict[str, Any]:
        """As in a record."""
        return {
            "used": self.used.to_json(),
            "held_out": None if self.held_out is None else self.held_out.to_json(),
        }

    @classmethod
    def from_json(cls, given: Any, metrics: Sequence[str]) -> Results:
        """Read them, of this version or an older one.

        Args:
            given: that part of the record.
            metrics: of the first that is there, faithfulness is computed where an older version didn't.

        Raises:
            ValueError: a number is missing or none; the message names it.
        """
        check(given, {"used": dict, "held_out": dict | None}, "results")
        found = {}
        for prompts in ("used", "held_out"):
            if given[prompts] is not None:
                _check_results(given[prompts], f"results.{prompts}")
                try:
                    found[prompts] = Evaluation.from_json(given[prompts], metrics)
                except ValueError as error:
                    raise ValueError(f"results.{prompts}: {error}") from error
        return cls(**found)


@dataclass
class Record:
    """A run: what was asked, on what, and what came out. A run that isn't finished lacks the later parts.

    Attributes:
        status: ``running`` or ``finished``.
        request: what was asked for.
        hashes: hex SHA-256 of ``model`` (weights and configuration) and ``data`` (the tokens), and what tells a
            ``metric`` of the caller's own.
        versions: of Python and the libraries that compute.
        started: when, in ISO 8601.
        seconds: that the method took so far.
        format: the layout of the record.
        engine: that pruned, by name.
        graph: how many ``nodes`` and ``edges``.
        cfg: the graph's shape.
        left_out: words or pairs that didn't fit, by kind.
        self_check: how far the nodes were from the model on the prompts.
        batch_size: prompts that the model ran at a time.
        threads: that torch computed with.
        estimated_memory_bytes, peak_memory_bytes: of the process.
        asked: what the request has only the outcome of.
        directory: where the relative paths of the request begin.
        task_sha256: of a prompt file's bytes.
        held_out_sha256: of the tokens of the held-out pairs; nothing that a resumed run must share.
        unnamed: what the run is of that no name opens again, in words.
        earlier_versions: those under which the run's first decisions were made, if others.
        noise_floor: how far rounding alone moves the metric, of a method of decisions, as the next five.
        drops_are_free: whether edges into what nothing reads go without moving the metric.
        tried: edges and gates.
        kept: edges that stayed when they were tried.
        within_noise: decisions that rounding could have turned.
        passes: how often the circuit was gone through, where more than once was allowed.
        last_metric: that the last decision left.
        search: for the threshold of a budget: of each that was tried how many ``edges`` it left, and which thresholds
            (above ``from`` and at most ``to``) decide as it does.
        found_threshold: that the search led to.
        unseen: what was dropped untried, and the bound on what was missed, see :mod:`acdc.methods.missed`.
        cost: of a method of scores: ``forwards`` and ``backwards`` of the patched model over all prompts.
        conservation: of a method of attribution: how far its scores are from what they must add up to, its
            ``identity`` in words, the largest ``residual`` and where it is, ``at``; and of every one of ``parts``
            (cuts, nodes or slots) what the scores add up to and what they must.
        masks: of a method of learned masks: how many edges they keep on average, ``expected_edges``; the metric with
            them as they are, ``metric_soft``, and of what they are rounded to, ``metric_rounded``.
        in_circuit: edges of the circuit.
        metric_ablated: the metric with every edge ablated.
        results: the circuit beside the model.
        usual_metric: the task's.
        no_held_out: why there are no held-out prompts.
        warned: what was warned of, in sentences; of a run that was gone on with, since then.
        verdict: what the figures amount to, in sentences.
        trace, circuit, fingerprint: digests that tie the files together, see :mod:`acdc.runs.seal`.
        further: keys that this version doesn't know.
    """

    status: str
    request: Request
    hashes: Mapping[str, Any]
    versions: Mapping[str, Any]
    started: str
    seconds: float
    format: int = 1
    engine: str | None = None
    graph: Mapping[str, Any] | None = None
    cfg: GraphConfig | None = None
    left_out: Mapping[str, Any] | None = None
    self_check: Mapping[str, Any] | None = None
    batch_size: int | None = None
    threads: int | None = None
    estimated_memory_bytes: int | None = None
    asked: Asked | None = None
    directory: str | None = None
    task_sha256: str | None = None
    held_out_sha256: str | None = None
    unnamed: Sequence[Any] = field(default_factory=list)
    earlier_versions: Sequence[Any] = field(default_factory=list)
    noise_floor: float | None = None
    drops_are_free: bool | None = None
    tried: int | None = None
    kept: int | None = None
    within_noise: int | None = None
    passes: int | None = None
    last_metric: float | None = None
    search: Sequence[Any] | None = None
    found_threshold: float | None = None
    unseen: Mapping[str, Any] | None = None
    cost: Mapping[str, Any] | None = None
    conservation: Mapping[str, Any] | None = None
    masks: Mapping[str, Any] | None = None
    in_circuit: int | None = None
    metric_ablated: float | None = None
    results: Results | None = None
    usual_metric: str | None = None
    no_held_out: str | None = None
    warned: Sequence[Any] = field(default_factory=list)
    verdict: Sequence[Any] | None = None
    peak_memory_bytes: int | None = None
    trace: str | None = None
    circuit: str | None = None
    fingerprint: str | None = None
    further: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        request = self.request
        return f"Record({self.status}: {request.method} on {request.task} and {request.model}, {self.seconds:.0f} s)"

    @property
    def threshold(self) -> float | None:
        """That decided: as it was asked for, or as a budget led to it."""
        return self.request.options.get("threshold") if self.found_threshold is None else self.found_threshold

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.status == FINISHED

    def check_whole(self) -> None:
        """Raise :class:`ValueError` where a part is missing that a finished run has."""
        self.request.check_whole()
        decided = self.request.method in (None, "acdc")
        wanted = _CAME_OUT + (_DECIDED if decided else ("fingerprint",))  # older versions knew no other method
        for name in (*wanted, *(_SEAL if self.fingerprint is not None else ())):
            if getattr(self, name) is None:
                raise ValueError(f"it lacks {name}")

    def to_json(self) -> dict[str, Any]:
        """As in the file; what isn't known is left out."""
        known = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "further"}
        known = {name: value for name, value in known.items() if value is not None}
        for name in ("earlier_versions", "unnamed", "warned"):
            if not known[name]:
                del known[name]
        for name in ("request", "results"):
            if name in known:
                known[name] = known[name].to_json()
        for name in ("asked", "cfg"):
            if name in known:
                known[name] = asdict(known[name])
        return known | {name: value for name, value in self.further.items() if name not in known}

    @classmethod
    def from_json(cls, given: Any) -> Record:
        """Read it, of this version or an older one.

        Raises:
            ValueError: it isn't the record of a run, or a newer version wrote it; the message names the key.
        """
        check(given, dict, "")
        if "fingerprint" in given:
            check(given, {"fingerprint": str}, "")
            told = given
        else:  # of an older version, to which these were keys of its own
            told = {name: value for name, value in given.items() if name not in ("trace", "circuit", "verdict")}
        values = typed_fields(cls, told, "")
        values.pop("further", None)
        _check_format(values.get("format", 1))
        if not 0 <= values["seconds"] <= _LONGEST:
            raise ValueError(f"seconds must be 0 or more, not {values['seconds']!r}")
        values["request"] = request = Request.from_json(values["request"])
        if values.get("asked") is not None:
            values["asked"] = Asked(**typed_fields(Asked, values["asked"], "asked"))
        if values.get("cfg") is not None:
            values["cfg"] = _graph_config(values["cfg"])
        if values.get("results") is not None:
            metrics = [name for name in (values.get("usual_metric"), request.metric) if name is not None]
            values["results"] = Results.from_json(values["results"], metrics)
        further = {name: value for name, value in given.items() if name not in values}
        return cls(**values, further=further)


def _check_format(number: int) -> None:
    if not 1 <= number <= FORMAT:
        why = "a newer one wrote it; update acdc" if number > FORMAT else "no version writes that"
        raise ValueError(f"it has the format {shown(number)}, and this version of acdc knows 1 to {FORMAT}: {why}")


def _graph_config(given: Any) -> GraphConfig:
    """The graph's shape. Raises :class:`ValueError`."""
    check(given, {"n_layers": int, "n_heads": int}, "cfg")
    if unknown := sorted(given.keys() - {one.name for one in fields(GraphConfig)}):
        raise ValueError(f"cfg.{shown(unknown[0])[1:-1]} is unknown")
    try:
        return GraphConfig(**given)
    except SettingsError as error:
        raise ValueError(f"cfg is no graph's: {str(error).rstrip('.')}") from error


def _check_results(results: Any, name: str) -> None:
    """Every state must have what the model has. Raises :class:`ValueError`."""
    check(results, {"n_prompts": int, "model": _BEHAVIOUR}, name)
    model = results["model"]
    alike = {
        "metrics": dict.fromkeys(model["metrics"], float),
        "accuracy": float | None if model["accuracy"] is None else float,
        "logit_difference": float | None,
    }
    wanted = [state for state in STATES if state in _STATES or results.get(state) is not None]
    check(results, dict.fromkeys(wanted, alike), name)
    if "faithfulness" in results:
        check(results, _FAITHFULNESS, name)
        if results["faithfulness_metric"] not in model["metrics"]:
            raise ValueError(f"{name}.faithfulness_metric is no metric of it")


def provenance_of(record: Record) -> Provenance:
    """How the circuit of a finished run was found, with the figures that the record has of it."""
    results = record.results
    if results is None:
        raise ValueError("a run that isn't finished has no figures")
    return measured_provenance(record, results.used, results.held_out)


def measured_provenance(record: Record, used: Evaluation, held_out: Evaluation | None) -> Provenance:
    """How the circuit of a run was found, with the figures that were measured on it."""
    request, metric = record.request, record.request.metric or "kl"
    found: dict[str, Any] = {
        **{name: getattr(request, name) for name in ("task", "model", "method", "metric", "ablation")},
        "options": {name: value for name, value in request.options.items() if value is not None},
        "n_prompts": used.n_prompts,
        "metric_circuit": used.circuit.metrics.get(metric),
        "metric_ablated": used.ablated.metrics.get(metric),
        "faithfulness": used.faithfulness,
        "faithfulness_metric": used.faithfulness_metric,
        "n_held_out": None if held_out is None else held_out.n_prompts,
        "metric_held_out": None if held_out is None else held_out.circuit.metrics.get(metric),
        "faithfulness_held_out": None if held_out is None else held_out.faithfulness,
    }
    if record.format < 2:
        return Provenance(**found, flat=True)
    if record.found_threshold is not None:
        found["options"]["threshold"] = record.found_threshold
    if request.method == "acdc":
        found["options"]["seed"] = request.seed
    prompts = ("corruption", "seed", "bos", "allow_misaligned", "split_input", "freeze", "skip_bad_pairs")
    return Provenance(
        **found,
        **{name: getattr(request, name) for name in (*prompts, "answers", "wrong_answers", "selection")},
        n=None if record.asked is None else record.asked.n,
        split="train",
        data_sha256=record.hashes.get("data"),
        held_out_sha256=record.held_out_sha256,
        model_sha256=record.hashes.get("model"),
        dtype=request.dtype,
        directory=record.directory,
    )
