"""Path patching: what becomes of the predictions when chosen paths carry another prompt's values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from acdc.analysis.named import check_setting
from acdc.analysis.pathnames import NodePath, parse_paths
from acdc.analysis.result import Cell, Result, Table
from acdc.analysis.treeified import PatchedRun, Tree, run_once
from acdc.asked import text
from acdc.engine import circuits
from acdc.engine.setting import Setting
from acdc.errors import SettingsError, UnknownNameError
from acdc.evaluation.behaviour import behaviour
from acdc.graph import Graph, Node
from acdc.models.tokens import Tokens
from acdc.models.torchstate import own_torch_state
from acdc.results import QUANTITIES, Behaviour

#: Which nodes may carry a path from one of its nodes to the next, unnamed.
RESTS: Mapping[str, Callable[[Node], bool]] = {
    "frozen": lambda node: False,
    "mlps": lambda node: node.kind == "mlp",
    "recomputed": lambda node: True,
}
DIRECTIONS = ("noising", "denoising")

_SMALL = 1e-9  # a difference up to here has no share


@dataclass(frozen=True)
class PathPatching(Result):
    """What patching some paths together does.

    Attributes:
        paths: their names. rest, direction: as they were asked for.
        unpatched: the predictions that the paths are patched in, beside the model's own on the clean prompts.
        patched: those with the paths patched.
        everything: those with every path patched: the ablated model's, or in denoising the model's own.
        logits: the patched ones, ``[prediction, n_outputs]`` float64.
        prompt_of: the prompt of each prediction, ``[prediction]``.
    """

    title: ClassVar[str] = "path patching"

    paths: tuple[str, ...]
    rest: str
    direction: str
    unpatched: Behaviour
    patched: Behaviour
    everything: Behaviour
    logits: np.ndarray
    prompt_of: np.ndarray

    @property
    def quantities(self) -> list[str]:
        """What there are numbers of: metrics, and what is said of answers, by name."""
        return [name for name in (*QUANTITIES, *self.patched.metrics) if self.patched.mean(name) is not None]

    def effect(self, quantity: str) -> float:
        """By how much the mean of a quantity changes. Raises :class:`UnknownNameError`."""
        before, after, _ = self._means(quantity)
        return after - before

    def share(self, quantity: str) -> float | None:
        """The effect over that of patching everything; ``None`` where that is nothing. Raises as :meth:`effect`."""
        before, after, most = self._means(quantity)
        return (after - before) / (most - before) if abs(most - before) > _SMALL else None

    def _means(self, quantity: str) -> tuple[float, float, float]:
        if quantity not in self.quantities:
            raise UnknownNameError("quantity", quantity, self.quantities)
        before, after, most = (state.mean(quantity) or 0.0 for state in self._states.values())  # all have the same
        return before, after, most

    def table(self) -> Table:
        """A row a quantity: its means, the effect, and that over the effect of patching everything."""
        rows: list[tuple[Cell, ...]] = [
            (name, *self._means(name), self.effect(name), self.share(name)) for name in self.quantities
        ]
        return Table(("quantity", "unpatched", "patched", "all patched", "effect", "share"), rows)

    def figure(self, plt: Any) -> Any:
        """Each prediction before and after, beside where everything is patched."""
        name = next(name for name in ("logit_difference", *self.patched.metrics) if name in self.quantities)
        states = {"unpatched": self.unpatched, "patched": self.patched, "all\npatched": self.everything}
        values = np.stack([(state.values or {})[name] for state in states.values()])  # [3, prediction]
        figure, axes = plt.subplots(figsize=(3.2, 2.6), constrained_layout=True)
        axes.plot(range(3), values, color="0.6", linewidth=0.4, marker="o", markersize=1.5)
        axes.plot(range(3), values.mean(1), color="#0072b2", marker="o", label="mean")
        axes.set_xticks(range(3), list(states))
        axes.set_ylabel(name.replace("_", " "))
        axes.legend()
        return figure

    def to_json(self) -> dict[str, Any]:
        """All but the logits."""
        table = self.table()
        return {
            "paths": list(self.paths),
            "rest": self.rest,
            "direction": self.direction,
            "n_prompts": len(np.unique(self.prompt_of)),
            "effects": {str(row[0]): dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows},
            "values": {
                name: {key: each.tolist() for key, each in (state.values or {}).items()}
                for name, state in self._states.items()
            },
            "prompt_of": self.prompt_of.tolist(),
        }

    @property
    def _states(self) -> dict[str, Behaviour]:
        return {"unpatched": self.unpatched, "patched": self.patched, "everything": self.everything}


@own_torch_state()
@torch.no_grad()
def patch_paths(
    setting: Setting, paths: str | Sequence[str], *, rest: str = "frozen", direction: str = "noising"
) -> PathPatching:
    """Give the paths of a set, all together, the values of other prompts, and see what the model predicts.

    Exact, in the treeified model (Goldowsky-Dill et al. 2023, arXiv 2304.05969): the node that a path begins at writes
    its other value on that path alone, every node on it is recomputed from what reaches it by the path, and all
    other ways carry what they do in the unpatched run. A path like ``a0.h1->a2.h3<k>->logits`` names each slot it
    passes; without its letter, a head is entered by q, k and v at once. Where one path of the set is the end of
    another, the longer one adds nothing.

    A path that doesn't end in ``logits`` is left open: all nodes behind its last one follow, as in path patching of
    Wang et al. 2023 (arXiv 2211.00593), which ``a9.h9->a10.h0<q>`` with `rest` ``mlps`` is. A single edge so patched
    is one removed from the whole model; a node alone is activation patching of it.

    Where a norm stands behind the sum of the heads (Gemma 2 and 3, OLMo-2), a path by way of a head carries what that
    does to the normed sum, which is what a reader sees.

    Args:
        setting: model and prompts (:func:`acdc.set_up`).
        paths: names of one path or of several.
        rest: what lies between two nodes of a path: ``frozen`` (the edge alone), ``mlps`` (any MLPs may carry it too)
            or ``recomputed`` (any nodes).
        direction: ``noising``: the clean prompts are run, and paths get what the setting's removed edges carry;
            ``denoising``: the corrupted ones, and paths get the clean prompts' values.

    Raises:
        UnknownNameError: no such node, slot, `rest` or `direction`; says the nearest.
        SettingsError: an edge of a path doesn't exist (says the nearest), or a denoising run of another ablation than
            ``corrupted``, or too many paths.
        NumericsError: logits are NaN or infinite; names the prompt.
    """
    check_setting(setting)
    for name, value, known in (("rest", rest, tuple(RESTS)), ("direction", direction, DIRECTIONS)):
        if text(name, value) not in known:
            raise UnknownNameError(name, value, known)
    denoising = direction == "denoising"
    if denoising and setting.ablation != "corrupted":
        raise SettingsError(
            f"denoising begins with the corrupted prompts, and the ablation is {setting.ablation}; set up with "
            '`ablation="corrupted"`, or take `direction="noising"`.'
        )
    graph, found = setting.graph, parse_paths(setting.graph, paths)
    logits = _logits(setting, found, np.array([RESTS[rest](node) for node in graph.nodes]), denoising)
    ablated = setting.corrupted_logits if setting.ablation == "corrupted" else _ablated(setting, graph)
    ends = [behaviour(setting, setting.model_logits), behaviour(setting, ablated)]
    unpatched, everything = reversed(ends) if denoising else ends
    return PathPatching(
        paths=tuple(path.name for path in found),
        rest=rest,
        direction=direction,
        unpatched=unpatched,
        patched=behaviour(setting, logits),
        everything=everything,
        logits=logits.cpu().numpy(),
        prompt_of=setting.rows.cpu().numpy(),
    )


def _ablated(setting: Setting, graph: Graph) -> Tensor:
    return next(circuits.run(setting, [np.zeros(graph.n_edges, dtype=bool)]))


def _logits(setting: Setting, paths: Sequence[NodePath], carriers: np.ndarray, denoising: bool) -> Tensor:
    """The patched predictions, ``[prediction, n_outputs]``."""
    model, graph, given = setting.model, setting.graph, setting.contributions
    tree = Tree(graph, paths, carriers)
    corrupted = Tokens.of([pair.corrupted for pair in setting.prompts.pairs], model.device)
    found = []
    for rows in given.chunks:
        if denoising:
            inputs, tokens = model.embed(corrupted[rows], split=graph.cfg.split_input), corrupted[rows]
            base, other = run_once(model, graph, tokens, inputs), given.clean(rows)
        else:
            base, other = run_once(model, graph, setting.tokens[rows], given.inputs[:, rows]), given.ablated(rows)
        found.append(setting.predictions(PatchedRun(model, graph, base, other).residual(tree), rows))
    return torch.cat(found)
