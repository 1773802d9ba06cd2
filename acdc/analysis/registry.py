"""The looks by name, so that the command, its help and the docs know all of them. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from acdc.asked import shown
from acdc.errors import SettingsError, UnknownNameError

if TYPE_CHECKING:
    from acdc.analysis.result import Result
    from acdc.engine.setting import Setting


@dataclass(frozen=True)
class Analysis:
    """A look at a model on a task.

    Attributes:
        name: what it is asked for by, and the name of its files.
        summary: what it says, in a line.
        room: module of :mod:`acdc.analysis` that has its function.
        function: the function's name.
        columns: of its table, what a short summary shows.
        by: the column whose largest numbers, in size, a summary shows first; ``None`` for rows from the
            first to the last, evenly.
        each: a column of which every value has its first row shown before any has its second.
        last: a column of positions: of each prompt, a summary has only the rows of the last.
        together: a column whose values a summary shows with the nodes that have them, in place of rows.
        options: of the function, as this look takes them.
        of_heads: it is of some heads only, which it takes as ``heads``.
        by_default: it is run where no looks are named.
    """

    name: str
    summary: str
    room: str
    function: str
    columns: tuple[str, ...]
    by: str | None = None
    each: str | None = None
    last: str | None = None
    together: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    of_heads: bool = False
    by_default: bool = True

    def run(self, setting: Setting, **options: Any) -> Result:
        """Run it. Raises :class:`AcdcError` as its function does."""
        found: Result = function_of(self)(setting, **{**self.options, **options})
        return found


def function_of(analysis: Analysis) -> Any:
    """The function of a look, imported now."""
    return getattr(import_module(f"acdc.analysis.{analysis.room}"), analysis.function)


def _patching(name: str, summary: str, *, by_default: bool = False, **options: Any) -> Analysis:
    """A patching map; those that run the model the most often are run where they are named."""
    places = ("position", "token") if options.get("by_position", True) else ()
    columns = ("activation", *places, "effect", "share")
    each = "activation" if options["what"] == "heads" else None
    summary = summary if by_default else f"{summary.rstrip('.')}; if named."
    how: dict[str, Any] = {"by": "effect", "each": each, "options": options, "by_default": by_default}
    return Analysis(name, summary, "maps", "activation_patching", columns, **how)


#: A new look is named here, in the order in which they are run and told.
ANALYSES: Mapping[str, Analysis] = {
    analysis.name: analysis
    for analysis in (
        Analysis(
            "lens",
            "What the model would say behind every layer.",
            "lens",
            "logit_lens",
            ("layer", "difference", "right probability", "right rank", "wrong probability", "likeliest token"),
        ),
        Analysis(
            "layers",
            "What each layer's attention and MLP add to the answers' logits.",
            "layers",
            "layer_attribution",
            ("part", "difference", "so far", "right", "wrong"),
            by="difference",
        ),
        Analysis(
            "direct",
            "What each node adds to the answers' logits by itself.",
            "direct",
            "direct_attribution",
            ("node", "difference", "right", "wrong"),
            by="difference",
        ),
        Analysis(
            "heads",
            "Heads taken apart: what they pass on, and who wrote what they read by q, k and v.",
            "heads",
            "head_attribution",
            ("node", "direct", "values from", "queries from", "keys from"),
            of_heads=True,
        ),
        Analysis(
            "detectors",
            "What kind each head is: previous token, induction, copying ...",
            "detectors",
            "head_detectors",
            ("node", "label"),
            together="label",
        ),
        Analysis(
            "patterns",
            "Where heads look from the answer positions on.",
            "patterns",
            "attention_patterns",
            ("node", "prompt", "query_token", "key_token", "clean", "corrupted"),
            by="clean",
            each="node",
            last="query",
            of_heads=True,
        ),
        Analysis(
            "ov",
            "What heads write of each token of the prompts: which logits they raise and lower.",
            "ov",
            "ov_summary",
            ("node", "prompt", "token", "weight", "raises", "lowers"),
            by="weight",
            each="node",
            of_heads=True,
        ),
        Analysis(
            "qk",
            "Which of the prompts' tokens heads look for.",
            "qk",
            "qk_summary",
            ("node", "query", "key", "weight", "score", "meetings"),
            by="weight",
            each="node",
            of_heads=True,
        ),
        Analysis(
            "ov-vocabulary",
            "What heads write of every token of the vocabulary; if named.",
            "vocabulary",
            "ov_vocabulary",
            ("node", "tokens", "share copied", "share suppressed"),
            of_heads=True,
            by_default=False,
        ),
        Analysis(
            "qk-vocabulary",
            "Which tokens of the vocabulary heads look for; if named.",
            "vocabulary",
            "qk_vocabulary",
            ("node", "query", "key", "score"),
            by="score",
            each="node",
            of_heads=True,
            by_default=False,
        ),
        Analysis(
            "tokens",
            "Which input tokens matter: exactly, and by gradient.",
            "tokens",
            "token_attribution",
            ("prompt", "position", "clean", "corrupted", "spans", "noising", "denoising"),
            by="noising",
            each="prompt",
        ),
        _patching(
            "residual-noising",
            "The residual stream by layer and position, corrupted in the clean run.",
            what="residual",
            direction="noising",
            by_default=True,
        ),
        _patching(
            "residual-denoising",
            "The same, clean in the corrupted run.",
            what="residual",
            direction="denoising",
        ),
        _patching(
            "heads-noising",
            "Each head, corrupted in the clean run.",
            what="heads",
            direction="noising",
            by_position=False,
            by_default=True,
        ),
        _patching(
            "heads-denoising",
            "The same, clean in the corrupted run.",
            what="heads",
            direction="denoising",
            by_position=False,
        ),
        _patching(
            "head-positions-noising",
            "Each head by position, corrupted in the clean run.",
            what="heads",
            direction="noising",
        ),
        _patching(
            "head-positions-denoising",
            "The same, clean in the corrupted run.",
            what="heads",
            direction="denoising",
        ),
    )
}


def asked_analyses(only: str | Iterable[str] | None) -> list[Analysis]:
    """Looks by their names, a list or one text with commas; for ``None`` all but those that take long.

    Raises:
        UnknownNameError: no such look.
        SettingsError: there is none, or they are no names.
    """
    if only is None:
        return [analysis for analysis in ANALYSES.values() if analysis.by_default]
    if not isinstance(only, Iterable):
        raise SettingsError(f"`only` must be names of looks, like lens,direct, not {shown(only)}.")
    names = [name.strip() for name in only.split(",")] if isinstance(only, str) else list(only)
    if not names or "" in names:
        said = "is empty" if not any(names) else "has a comma with no name beside it"
        raise SettingsError(f"`only` {said}; give names of {', '.join(ANALYSES)}, or leave it out for the usual ones.")
    for name in names:
        if not isinstance(name, str):
            raise SettingsError(f"`only` must be names of looks, like lens,direct, not {shown(name)}.")
        if name not in ANALYSES:
            raise UnknownNameError("look", name, ANALYSES)
    return [ANALYSES[name] for name in dict.fromkeys(names)]
