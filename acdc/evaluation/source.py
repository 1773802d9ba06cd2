"""Where a circuit came from, as far as its prompts and its model can be had again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from acdc.bundled import bundled_models
from acdc.circuit import Circuit
from acdc.errors import ModelError, SettingsError, UnknownNameError
from acdc.jsondata import check
from acdc.metrics import METRICS
from acdc.models.loading import load_model
from acdc.models.model import Model
from acdc.pairs import PromptSet
from acdc.pairs.finding import file_of, find_task
from acdc.pairs.task import Task
from acdc.reading import is_model
from acdc.runs.record import Record
from acdc.wording import quoted

_LIST = "prompt pairs"  # the name of pairs that came from Python
_IN_MEMORY = " in memory"  # ends the name of a model that was no file's


@dataclass(frozen=True)
class Source:
    """What a circuit was found on; ``None`` for what isn't known.

    Attributes:
        task, model, metric, ablation, freeze: by name.
        dtype: precision of the model.
        corruption, n, seed, bos, allow_misaligned, skip_bad_pairs, answers, wrong_answers: how its prompts were drawn.
        data_sha256, held_out_sha256: of the tokens of its prompts, and of those held out.
        model_sha256: of the model.
        directory: where relative paths begin.
    """

    task: str | None = None
    model: str | None = None
    metric: str | None = None
    ablation: str | None = None
    freeze: str | None = None
    dtype: str | None = None
    corruption: str | None = None
    n: int | None = None
    seed: int | None = None
    bos: str | None = None
    allow_misaligned: bool | None = None
    skip_bad_pairs: bool | None = None
    answers: str | None = None
    wrong_answers: str | None = None
    data_sha256: str | None = None
    held_out_sha256: str | None = None
    model_sha256: str | None = None
    directory: str | None = None

    @classmethod
    def of_circuit(cls, circuit: Circuit) -> Source:
        """What a circuit's provenance says of it."""
        found = circuit.found
        return cls._checked({one.name: getattr(found, one.name) for one in fields(cls)})

    @classmethod
    def of_record(cls, record: Record) -> Source:
        """What a run's record says of it, also one of an older version."""
        request = record.request
        known = {one.name: getattr(request, one.name, None) for one in fields(cls)} | {
            "n": request.n if record.asked is None else record.asked.n,
            "data_sha256": record.hashes.get("data"),
            "held_out_sha256": record.held_out_sha256,
            "model_sha256": record.hashes.get("model"),
            "directory": record.directory,
        }
        return cls._checked(known)

    @classmethod
    def _checked(cls, known: Mapping[str, Any]) -> Source:
        """Leave out what is of another type than it should be: somebody else's key of the same name."""
        made: dict[str, Any] = {}
        for name, kind in get_type_hints(cls).items():
            try:
                check(known[name], kind, name)
                made[name] = known[name]
            except ValueError:
                continue
        return cls(**made)

    def is_of(self, task: str) -> bool:
        """Whether a task's name may be that of the one that it was found on."""
        return self.task is not None and Path(self.task).name == Path(task).name

    def own_metric(self, label: str) -> str:
        """The metric that decided. Raises :class:`SettingsError` where it was a function of a caller's."""
        if self.metric is None:
            return "kl"
        if self.metric not in METRICS:
            raise SettingsError(
                f"{label} was found by {quoted(self.metric)}, a metric of somebody's own, which its name doesn't give "
                "back; give `metric`."
            )
        return self.metric

    def own_task(self, label: str) -> Task:
        """The task that it was found on.

        Raises:
            SettingsError: it isn't known, or is gone; says what to give instead.
        """
        instead = "give `task`"
        if self.task is None or self.model is None:
            more = ", and the `model`" if self.model is None else ""
            raise SettingsError(f"{label} doesn't say what it was found on; give `task`{more}.")
        if self.data_sha256 is None or self.seed is None:
            raise SettingsError(
                f"{label} was found on {quoted(self.task)}, but doesn't say on which prompts of it (an older version "
                f"wrote it); {instead}."
            )
        if self.task == _LIST:
            raise SettingsError(
                f"{label} was found on a list of prompt pairs from Python, which no name draws again; {instead}."
            )
        file = file_of(self.task)
        place = self.task if file is None else self._place(str(file), Path.is_file)
        where = place if file is None else place + self.task.removeprefix(str(file))
        if file is not None and not _is(place, Path.is_file):
            gone = "isn't in this folder; go to where it is" if self.directory is None else "is gone; put the file back"
            raise SettingsError(f"{label} was found on the prompts of {self.task}, which {gone}, or {instead}.")
        try:
            return find_task(where, self.answers, self.wrong_answers)
        except UnknownNameError as error:
            raise SettingsError(
                f"{label} was found on the task {quoted(self.task)}, which isn't here: its package is gone, or it "
                f"was a class of Python's; {instead}."
            ) from error

    def model_name(self, label: str) -> str:
        """What opens the model that it was found on. Raises :class:`SettingsError` where nothing does."""
        if self.model is None:
            raise SettingsError(f"{label} doesn't say which model it is of; give `model`.")
        if self.model.endswith(_IN_MEMORY):
            raise SettingsError(f"{label} is of {self.model}, which no name opens again; give `model`.")
        return self.model if self.model in bundled_models() else self._place(self.model, is_model)

    def open_model(self, label: str, load: Callable[[str], Model] = load_model) -> Model:
        """The model that it was found on.

        Args:
            label: the circuit's name, for messages.
            load: opens a model by its name.

        Raises:
            SettingsError: it is gone, or was changed.
        """
        name = self.model_name(label)
        try:
            model = load(name)
        except UnknownNameError as error:
            if error.kind != "model":  # the precision asked for
                raise
            raise SettingsError(
                f"{label} was found on the model {quoted(self.model)}, which is gone; put it back, or give `model`."
            ) from error
        except ModelError as error:
            raise ModelError(f"{error} {label} was found on it; mend it, or give another `model`.") from error
        dtype = str(model.dtype).removeprefix("torch.")
        if self.dtype not in (None, dtype):
            raise SettingsError(
                f"{label} was found in {self.dtype}; give the `model` too to run it in {dtype}, or leave out `dtype`."
            )
        if self.model_sha256 is not None and model.sha256 != self.model_sha256:
            raise SettingsError(
                f"the model {quoted(self.model)} isn't as it was when {label} was found: its weights, their precision "
                "or its configuration were changed; give `model` to take it as it is."
            )
        return model

    def check_prompts(self, label: str, prompts: PromptSet) -> None:
        """Raise :class:`SettingsError` unless drawn prompts are those that it was found on."""
        if prompts.sha256() != self.data_sha256:
            raise SettingsError(
                f"the prompts of {quoted(self.task)} aren't those that {label} was found on: the task, the file or the "
                "tokenizer was changed since; give `task` to take them as they are."
            )

    def _place(self, name: str, is_there: Callable[[Path], bool]) -> str:
        """A name, or the path that it was when the circuit was found."""
        if self.directory is None:
            return name
        try:
            begun = Path(self.directory, Path(name).expanduser())
            return str(begun) if is_there(begun) else name
        except (OSError, RuntimeError, ValueError):  # no name of a file
            return name


def _is(name: str, is_there: Callable[[Path], bool]) -> bool:
    try:
        return is_there(Path(name))
    except (OSError, ValueError):
        return False
