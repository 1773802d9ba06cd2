"""What running the model adds to the page of a run: predictions, what each node does, the curve over sizes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from acdc.analysis.seeing_nodes import Place, see_nodes
from acdc.circuit import Circuit
from acdc.engine import circuits
from acdc.engine.setting import Setting
from acdc.evaluation.behaviour import behaviour, rounding_of
from acdc.evaluation.prompts import likeliest
from acdc.explorer.data import ranking_keys
from acdc.explorer.seen import Likely, Seen, SeenPrompt, SizePoint, to_json
from acdc.models.torchstate import own_torch_state
from acdc.pairs import TokenPair
from acdc.pairs.looking import shown_pair
from acdc.results import faithfulness
from acdc.wording import counted

#: Sizes of the curve, and what a page may take of prompts, in characters, so that all of it stays below 3 MB.
_SIZES, _MOST_TEXT = 12, 1_000_000
#: Numbers of direct attribution, a node and a prompt each, that a page may take.
_MOST_DIRECT = 60_000


@dataclass(frozen=True)
class Side:
    """Prompts that a circuit is seen on.

    Attributes:
        setting: they and the model; its graph is the circuit's.
        held_out: whether they weren't used to find it.
    """

    setting: Setting
    held_out: bool


@own_torch_state()
@torch.no_grad()
def see(circuit: Circuit, sides: Sequence[Side], metric: str = "kl") -> Seen:
    """Run a circuit beside its model and look at both.

    Args:
        circuit: of the model of the settings.
        sides: the prompts used to find it, and perhaps those held out.
        metric: that faithfulness is of, where the prompts allow it; else it is of KL.

    Returns:
        The prompts in order; where they are too many for a page, those on which the circuit is farthest from its
        model, which ``missing`` says.

    Raises:
        NumericsError: a logit is NaN or infinite; names the prompt.
    """
    found = [(side, number, prompt) for side in sides for number, prompt in enumerate(_prompts(circuit, side))]
    shown, missing = _fitting([prompt for _, _, prompt in found], len(circuit.nodes()))
    chosen = [found[i] for i in shown]
    looked = see_nodes(circuit, [Place(side.setting, number, prompt) for side, number, prompt in chosen])
    curve, doubt = _curve(circuit, sides[0].setting, metric)
    return Seen([prompt for _, _, prompt in chosen], looked.nodes, curve, [*missing, *looked.missing, *doubt])


def _states(setting: Setting, circuit: Circuit) -> Iterator[tuple[str, Tensor]]:
    """Name and logits ``[prediction, n_outputs]`` of the model, the circuit and the ablated model."""
    yield "model", setting.model_logits
    masks = {"circuit": circuit.in_graph, "ablated": np.zeros_like(circuit.in_graph)}
    yield from zip(masks, circuits.run(setting, list(masks.values())), strict=True)


def _prompts(circuit: Circuit, side: Side) -> list[SeenPrompt]:
    setting, pairs = side.setting, side.setting.prompts.pairs
    rows = setting.rows.cpu().numpy()
    places = _places(rows)
    likely: list[dict[str, list[list[Likely]]]] = [{} for _ in pairs]
    values: list[dict[str, dict[str, float]]] = [{} for _ in pairs]
    counts = np.bincount(rows, minlength=len(pairs))
    for state, logits in _states(setting, circuit):
        for prediction, (row, place) in enumerate(zip(rows.tolist(), places, strict=True)):
            best = likeliest(setting, logits[prediction], pairs[row], place)
            likely[row].setdefault(state, []).append([Likely(*one) for one in best])
        means = {
            name: np.bincount(rows, each, minlength=len(pairs)) / counts  # [prompt]
            for name, each in (behaviour(setting, logits).values or {}).items()
        }
        for row, of_prompt in enumerate(values):
            of_prompt[state] = {name: float(each[row]) for name, each in means.items()}
    return [
        SeenPrompt(shown_pair(pair, setting.model.tokenizer), _template(pair), side.held_out, likely[row], values[row])
        for row, pair in enumerate(pairs)
    ]


def _places(rows: np.ndarray) -> list[int]:
    """Of each prediction which one of its prompt it is; `rows` is ascending."""
    return (np.arange(len(rows)) - np.searchsorted(rows, rows)).tolist()


def _template(pair: TokenPair) -> str | None:
    found = pair.tags.get("template")
    return None if found is None else str(found)


def _fitting(prompts: Sequence[SeenPrompt], n_nodes: int) -> tuple[list[int], list[str]]:
    """Which prompts a page shows, in order, and a sentence if these aren't all."""
    room, most = _MOST_TEXT, max(1, _MOST_DIRECT // max(1, n_nodes))
    kept: list[int] = []
    for i in sorted(range(len(prompts)), key=lambda i: -prompts[i].values["circuit"]["kl"]):
        room -= len(json.dumps(to_json(Seen([prompts[i]]))["prompts"]))
        if kept and (room < 0 or len(kept) == most):
            break
        kept.append(i)
    if len(kept) == len(prompts):
        return sorted(kept), []
    left_out = (
        f"Of {counted(len(prompts), 'prompt')} {len(kept)} are shown, those on which the circuit is farthest from the "
        "model by KL: all of them would make the page too large."
    )
    return sorted(kept), [left_out]


def _curve(circuit: Circuit, setting: Setting, metric: str) -> tuple[list[SizePoint], list[str]]:
    """Circuits of the largest scores, ranked as the page ranks edges, and a sentence if there are none."""
    keys = ranking_keys(circuit)
    order = np.argsort(-keys, kind="stable")[: int(np.isfinite(keys).sum())]
    if not len(order) or keys[order[0]] == keys[order[-1]]:
        return [], ["The edges have no scores that rank them, so that there is no curve over sizes."]
    asked = sorted({round(size) for size in np.geomspace(1, len(order), _SIZES)})
    masks = [np.zeros_like(circuit.in_graph) for _ in (0, *asked)]  # the first is the ablated model
    for mask, size in zip(masks[1:], asked, strict=True):
        mask[order[:size]] = True
    figures = []
    for logits in circuits.run(setting, masks):
        found = behaviour(setting, logits)
        figures.append(found.metrics | ({} if found.accuracy is None else {"accuracy": found.accuracy}))
    by = metric if metric in figures[0] else "kl"
    floor = rounding_of(setting, by)
    points = [
        SizePoint(size, int(circuit.graph.on_path(mask).sum()), _with_share(figure, figures[0], by, floor))
        for size, mask, figure in zip(asked, masks[1:], figures[1:], strict=True)
    ]
    return points, []


def _with_share(
    found: Mapping[str, float], ablated: Mapping[str, float], metric: str, floor: float
) -> dict[str, float]:
    share = faithfulness(found[metric], ablated[metric], floor)
    return dict(found) if share is None else {**found, "faithfulness": share}
