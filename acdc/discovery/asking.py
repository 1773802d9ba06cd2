"""What a run is asked for: checked once, before torch is imported or a model opened, and what follows from it alone."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acdc.asked import batch_size as asked_batch_size
from acdc.asked import flag, n_pairs, path, text, whole
from acdc.cluster.connection import checked_cluster
from acdc.engine.ablations import check_ablation
from acdc.engine.names import asked_freeze, check_engine
from acdc.engine.once import Once, anew
from acdc.engine.own_metric import asked_metric
from acdc.errors import SettingsError
from acdc.methods.base import Method
from acdc.methods.registry import METHODS, find_method, option_names
from acdc.metrics import Metric
from acdc.pairs.task import Task
from acdc.runs.request import Request
from acdc.selection import Selection, check_rule
from acdc.wording import some

if TYPE_CHECKING:
    from acdc.graphconfig import GraphConfig
    from acdc.models.model import Model
    from acdc.pairs import PromptSet
    from acdc.pairs.task import Split

#: What runs share a model by, which is opened once.
OPENED = ("model", "device", "dtype")
#: What runs share prompts, and the model run on them, by. Whatever changes these changes what is shared.
SET_UP = (
    *OPENED,
    *("task", "n", "seed", "corruption", "bos", "allow_misaligned", "skip_bad_pairs", "answers", "wrong_answers"),
    *("ablation", "split_input", "freeze", "batch_size"),
)


@dataclass(frozen=True)
class Asked:
    """The options of :func:`acdc.discover`, by the same names but for `metric`.

    Attributes:
        method: the method with its options: ``acdc`` (:class:`acdc.methods.Acdc`: threshold, order, gates, passes,
            budget), ``eap-ig`` (:class:`acdc.methods.EapIg`: steps), or any of :mod:`acdc.methods`.
        select: for a method that scores edges, which of them are the circuit: ``Top``, ``Above`` or ``Greedy`` of
            :mod:`acdc.selection`; ``None`` where the method decides.
        measure: the metric: a name, see :mod:`acdc.metrics`; or a function of the circuit's logits ``[prediction,
            n_outputs]``, the model's and the answers, to how much worse the circuit is, ``[prediction]``; see
            :mod:`acdc.engine.own_metric`.
        ablation: what removed edges carry: ``corrupted``, ``zero`` or ``mean``.
        split_input: ``embed`` and ``pos_embed`` in place of ``input``.
        freeze: what stays as it is on the clean prompts, whatever the model reads: ``attention`` (how heads look) or
            ``norms`` (what they divide by), or a list of them; see :mod:`acdc.models.freezing`. The circuit is that of
            this other model, run on the reference engine, all prompts at a time.
        engine: ``fast``, or ``reference``, which runs the whole model for every edge; both make the same decisions.
        batch_size: prompts that the whole model runs at a time, or ``None`` (``auto``): all, or fewer where what they
            write would take much memory. It is kept only where all run at once; else it is computed anew when it is
            needed.
        n: prompt pairs; by default 100, or all of a file or list.
        seed: of the prompts (of a file or list: which are used and which are held out) and of a method that draws;
            0 is that of a method that has one.
        corruption: one of the task's; by default its first.
        bos: ``auto``: prompts begin as the tokenizer has it; ``yes``: with exactly one BOS (as EAP-IG, MIB and
            AutoCircuit do); ``no``: none is added. See :func:`acdc.pairs.tokenize_pair`.
        allow_misaligned: take pairs whose words stand at other tokens, with a warning.
        skip_bad_pairs: leave out prompt pairs that don't fit, with a warning that names them, instead of refusing them.
        answers: of a prompt file, the field or column that holds the right answers; see :mod:`acdc.pairs.promptfile`.
        wrong_answers: likewise the wrong ones.
        device: see :func:`acdc.load_model`; not for a model that is open already.
        dtype: likewise.
        threads: that torch computes with; by default as many as suit the model's size (see
            :mod:`acdc.models.threads`). Its number is put back at the end.
        out: folder to write; by default nothing is written.
        cluster: ``ray`` or ``ray://host:port``: the prompts are split over the workers of a Ray cluster, which prune
            together, with the decisions of one process; see :mod:`acdc.cluster.split`. A run may be gone on with on
            one, or without. ``threads`` are then those of each worker, one by default.
        resume: go on with the run in that folder, if there is one. A finished one is handed back: before the model
            is opened where the request is the same, and neither a prompt file (by its hash) nor a model's folder was
            changed since; a model of the hub and a task of acdc's are taken for the same by their names. Whatever
            can't be told so is told by the hashes of model and prompts.
        progress: show a bar.
        announce: takes lines on what the run works on and how well the model does it.
        once: what runs share is computed by this, see :mod:`acdc.discovery.sharing`; by default nothing is shared.
    """

    method: Method
    select: Selection | None
    measure: Metric
    ablation: str
    split_input: bool
    freeze: tuple[str, ...]
    engine: str
    batch_size: int | None
    n: int | None
    seed: int
    corruption: str | None
    bos: str
    allow_misaligned: bool
    skip_bad_pairs: bool
    answers: str | None
    wrong_answers: str | None
    device: Any
    dtype: Any
    threads: Any
    out: Path | None
    cluster: str | None
    resume: bool
    progress: bool
    announce: Callable[[str], None]
    once: Once = anew

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Asked:
        """Check options as a caller gave them, numpy's numbers among them.

        Args:
            given: the arguments of :func:`acdc.discover`; ``options`` are those of the method.

        Raises:
            SettingsError: one is of another type, or makes no sense.
            UnknownNameError: no such method, metric, ablation, engine or order.
        """
        if given["corruption"] is not None:
            text("corruption", given["corruption"])
        check_ablation(text("ablation", given["ablation"]))
        check_engine(text("engine", given["engine"]))
        if given["announce"] is not None and not callable(given["announce"]):
            raise SettingsError("`announce` must be a function that takes a line, e.g. print.")
        _refuse_misspelt(given)
        method, seed = _with_seed(given["method"], given["options"], whole("seed", given["seed"]))
        check_selection(method, given["select"])
        freeze = asked_freeze(given["freeze"])
        same = ("ablation", "engine", "corruption", "answers", "wrong_answers", "device", "dtype", "threads")
        kept: dict[str, Any] = {name: given[name] for name in same}
        flags = ("split_input", "allow_misaligned", "skip_bad_pairs", "resume", "progress")
        return cls(
            method=method,
            select=given["select"],
            seed=seed,
            measure=asked_metric(given["metric"]),
            batch_size=asked_batch_size(given["batch_size"]),
            n=None if given["n"] is None else n_pairs(given["n"]),
            bos=text("bos", given["bos"]),
            freeze=freeze,
            cluster=None if given["cluster"] is None else _asked_cluster(given["cluster"], method, freeze),
            out=None if given["out"] is None else path("out", given["out"]),
            announce=given["announce"] or _silent,
            **kept | {name: flag(name, given[name]) for name in flags},
        )

    def request(self, task: Task) -> Request:
        """What a record says of it, as far as it is known before the model is opened."""
        return Request(
            task=task.name,
            method=self.method.name,
            metric=self.measure.name,
            ablation=self.ablation,
            seed=self.seed,
            selection=None if self.select is None else self.select.to_json(),
            corruption=self.corruption or next(iter(task.corruptions)),
            bos=self.bos,
            allow_misaligned=self.allow_misaligned,
            split_input=self.split_input,
            freeze=",".join(self.freeze) or None,
            skip_bad_pairs=self.skip_bad_pairs,
            answers=self.answers,
            wrong_answers=self.wrong_answers,
            options=self.method.recorded,
        )

    def prompts(self, model: Model, task: Task, split: Split, n: int | None) -> PromptSet:
        """The task's prompts for a model.

        Raises:
            PromptError: a pair doesn't fit, or the metric needs answers that aren't given.
        """
        prompts = self.once(
            ("prompts", split, n),
            lambda: task.prompts(
                model.tokenizer,
                n,
                self.seed,
                split,
                self.corruption,
                **model.limits,
                bos=self.bos,
                allow_misaligned=self.allow_misaligned,
                skip_bad_pairs=self.skip_bad_pairs,
            ),
        )
        self.measure.check(prompts)
        return prompts


def check_selection(method: Method, select: Any, how: str = "give `select`, e.g. acdc.selection.Top(200)") -> None:
    """Raise :class:`SettingsError` unless a selection is given exactly where the method needs one.

    Args:
        method: the method.
        select: the selection, or ``None``.
        how: how to give one, for the message.
    """
    if method.decides and select is not None:
        raise SettingsError(
            f"the method {method.name} decides by itself which edges stay; leave the selection out, or take a method "
            "that scores edges."
        )
    if not method.decides and select is None:
        raise SettingsError(
            f"the method {method.name} gives every edge a score and leaves open which of them are the circuit; {how}."
        )
    check_rule("select", select)


def check_fits(method: Method, select: Selection | None, cfg: GraphConfig) -> None:
    """Raise :class:`SettingsError` where more is asked for than a graph has, before a prompt is run."""
    if method.least_edges > cfg.n_edges:
        raise SettingsError(
            f"the method {method.name} is to leave {method.least_edges:,} edges, and the graph has {cfg.n_edges:,}; "
            "ask for fewer."
        )
    if select is not None:
        select.check_size(cfg)


def _with_seed(method: Any, options: Mapping[str, Any], seed: int) -> tuple[Method, int]:
    """The method and the run's seed, which is one: of the prompts, and of a method that draws."""
    made = find_method(method, **options)
    own = made.options.get("seed")
    if own is None:
        return made, seed
    if own != seed and 0 not in (own, seed):
        raise SettingsError(f"`seed` is {seed}, and that of the method {own}; a run has one, give it once.")
    return replace(made, seed=seed or own), seed or own  # type: ignore[call-arg] # it has one


def _asked_cluster(given: Any, method: Method, freeze: Sequence[str]) -> str:
    """A cluster for a run whose prompts can be split. Raises :class:`SettingsError`."""
    address = checked_cluster(given)
    if not method.runs_engine:
        able = some([name for name, other in METHODS.items() if other().runs_engine])
        raise SettingsError(
            f"`cluster` splits the prompts of methods that try edges ({able}), and {method.name} is none; leave it out."
        )
    if freeze:
        raise SettingsError("with `freeze` all prompts are run at a time, and can't be split; leave out `cluster`.")
    return address


def _refuse_misspelt(given: Mapping[str, Any]) -> None:
    """Raise :class:`SettingsError` for an option that no method has, but which is near to one of discover's own."""
    known = [name for name in given if name != "options"]
    for name in given["options"]:
        if any(name in option_names(method) for method in METHODS.values()):
            continue
        if near := difflib.get_close_matches(name, known, n=1, cutoff=0.75):
            raise SettingsError(f"discover has no `{name}`; did you mean `{near[0]}`?")


def _silent(line: str) -> None:
    """Announce nothing."""
