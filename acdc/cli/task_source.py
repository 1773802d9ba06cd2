"""A task and what it is to be read under: a model, or a tokenizer alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from acdc.cli.printing import announce

if TYPE_CHECKING:
    from acdc.models.model import Model
    from acdc.pairs import PromptSet
    from acdc.pairs.task import Task


@dataclass(frozen=True)
class TaskSource:
    """A task, open.

    Attributes:
        task: the task.
        model: the model, if one was named.
        tokenizer: the one named, or the model's.
        limits: of its vocabulary and context, as :meth:`acdc.Task.prompts` takes them.
    """

    task: Task
    model: Model | None
    tokenizer: Any | None
    limits: dict[str, Any]

    def prompts(self, n: int | None, **drawing: Any) -> PromptSet:
        """Pairs of the task. Raises :class:`AcdcError`; for text without a tokenizer it names the option."""
        from acdc.errors import NoTokenizerError

        try:
            return self.task.prompts(self.tokenizer, n, **drawing, **self.limits)
        except NoTokenizerError as error:
            raise self.lacks_tokenizer(error) from error

    def lacks_tokenizer(self, error: Any) -> Exception:
        """What to raise where text has no tokenizer."""
        from acdc.errors import PromptError

        give = "--model or --tokenizer" if self.model is None else "--tokenizer"
        return PromptError(f"{error.what} is text; give {give}, under which to check it.")


def opened(
    task: str,
    model: str | None,
    tokenizer_name: str | None,
    answers: str | None,
    wrong_answers: str | None,
    *,
    skip_bad_pairs: bool,
) -> TaskSource:
    """Open what a command names; says how the task's prompts are read.

    Raises:
        AcdcError: there is no such task, model or tokenizer, or it can't be read.
    """
    from acdc.pairs.finding import find_task
    from acdc.waiting import bars

    with bars(True):
        found = find_task(task, answers, wrong_answers)
    if not skip_bad_pairs:
        found.refuse_unreadable()
    for note in found.notes:
        announce(note)
    tokenizer: Any | None = None
    limits: dict[str, Any] = {}
    open_model: Model | None = None
    if tokenizer_name is not None:
        from acdc.models.opening import find_tokenizer

        tokenizer = find_tokenizer(tokenizer_name)
        limits["vocab_size"] = len(tokenizer)
    if model is not None:
        from acdc.models.loading import load_model

        open_model = load_model(model, tokenizer=tokenizer)
        tokenizer, limits = open_model.tokenizer, {**open_model.limits}
    return TaskSource(found, open_model, tokenizer, limits)
