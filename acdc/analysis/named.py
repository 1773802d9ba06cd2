"""Nodes and prompts that a caller names, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from acdc.asked import shown, whole
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.graph import Graph, GraphConfig
from acdc.models.model import Model

On = TypeVar("On", bound=Setting | Model)

_HEAD = re.compile(r"a(\d+)\.h(\d+)")


@dataclass(frozen=True, order=True)
class Head:
    """A head: its layer and its number there, from 0."""

    layer: int
    head: int

    @property
    def name(self) -> str:
        """As the graph names it."""
        return f"a{self.layer}.h{self.head}"


def check_setting(given: Any) -> None:
    """Raise :class:`SettingsError` for what is no model on prompts."""
    if not isinstance(given, Setting):
        raise SettingsError(f"a model on prompts is wanted, as `acdc.set_up` gives it, not {shown(given)}.")


def thawed(on: On) -> On:
    """The same with nothing frozen: what kind a head is, and what it would do on others' text, is the model's own."""
    made: Any = on.thawed if isinstance(on, Model) else replace(on, model=on.model.thawed)
    return made


def check_thawed(setting: Setting, look: str) -> None:
    """Raise :class:`SettingsError` where something is frozen and a look runs prompts over and over, many at a time.

    What is frozen is of each prompt in its place. So it does for what is no setting.
    """
    check_setting(setting)
    if what := setting.model.frozen:
        raise SettingsError(
            f"{look} runs each prompt many times over, and what is frozen ({' and '.join(what)}) is kept for one run "
            "of them all; set up without `freeze`."
        )


def all_heads(cfg: GraphConfig) -> list[Head]:
    """All heads in the graph's order."""
    return [Head(layer, head) for layer in range(cfg.n_layers) for head in range(cfg.n_heads)]


def asked_heads(graph: Graph, heads: str | Iterable[str] | None) -> list[Head]:
    """Heads by their names, a list or one text with commas, in the graph's order; all of them for ``None``.

    Raises:
        UnknownNameError: no such node.
        SettingsError: it is no head, it is out of range, there is none, or it is no name.
    """
    if heads is None:
        return all_heads(graph.cfg)
    if isinstance(heads, str):
        heads = [name.strip() for name in heads.split(",")]
    if not isinstance(heads, Iterable):
        raise SettingsError(f"`heads` must be names of heads, like a0.h1, not {shown(heads)}.")
    names = list(heads)
    if not names or "" in names:
        said = "is empty" if not any(names) else "has a comma with no name beside it"
        raise SettingsError(f"`heads` {said}; name at least one, like a0.h1, or leave it out.")
    return sorted({_head(graph, name) for name in names})


def asked_prompts(n: int, prompts: int | Sequence[int] | None, default: int) -> tuple[int, ...]:
    """Numbers of prompts of a setting, from 0, as they are asked for; the first few for ``None``.

    Raises:
        SettingsError: one is out of range or no number, or there is none.
    """
    if prompts is None:
        return tuple(range(min(n, default)))
    given = prompts if isinstance(prompts, Iterable) else [prompts]
    asked = [whole("prompts", each) for each in given]
    if not asked:
        raise SettingsError("`prompts` is empty; give at least one number of a prompt, from 0.")
    for number in asked:
        if not 0 <= number < n:
            raise SettingsError(f"`prompts`: there is no prompt {number}; they are numbered from 0 to {n - 1}.")
    return tuple(dict.fromkeys(asked))


def _head(graph: Graph, name: Any) -> Head:
    if not isinstance(name, str):
        raise SettingsError(f"`heads` must be names of heads, like a0.h1, not {shown(name)}.")
    if found := _HEAD.fullmatch(name):
        cfg = graph.cfg
        layer, head = (int(digits[:10]) for digits in found.groups())  # no model has as many
        if layer < cfg.n_layers and head < cfg.n_heads:
            return Head(layer, head)
        raise SettingsError(
            f"{shown(name)} is out of range: this model's layers are 0 to {cfg.n_layers - 1}, and the heads of each "
            f"0 to {cfg.n_heads - 1}."
        )
    raise SettingsError(f"{graph.node(name).name} is no head; heads are named like a0.h1.")
