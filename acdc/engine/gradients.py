"""Gradients of a metric at every slot, for all methods that need them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.engine.contributions import contribution_bytes
from acdc.engine.setting import Setting
from acdc.engine.sizes import Sizes
from acdc.graph import Slot
from acdc.metrics import Metric
from acdc.models.patched import run_patched

#: Takes slots that share their parents, and the gradient at each.
Take = Callable[[Sequence[Slot], Float[Tensor, "slot prompt pos d_model"]], None]


def at_slots(
    setting: Setting, measure: Metric, rows: slice, inputs: Float[Tensor, "n_inputs prompt pos d_model"], take: Take
) -> None:
    """Run the whole model on some prompts, and back again from a metric to every slot.

    The gradient at a slot is a total one: of the metric's mean over *all* of the setting's predictions, when
    what the slot reads moves and everything behind it follows. So gradients of chunks of prompts add up, and so
    do those of the slots that a node feeds: their sum is the gradient at what the node writes.

    Args:
        setting: model and prompts.
        measure: the metric; it must have a gradient.
        rows: which of the prompts; those that are run together are ``setting.contributions.chunks``.
        inputs: what the input nodes write on them.
        take: is handed the gradients, slots in the order of the way back; they are freed as soon as it returns.
    """

    def watch(slots: Sequence[Slot], total: Tensor) -> Tensor:
        total.register_hook(lambda gradient: take(slots, gradient))
        return total

    graph, scored = setting.graph, setting.scored(rows)
    every = torch.ones(graph.n_edges, dtype=torch.bool)
    # No edge is removed, so what removed ones carry doesn't matter; the size of one number.
    unused = inputs.new_zeros(()).expand(graph.n_sources, *inputs.shape[1:])
    inputs = inputs.detach().requires_grad_()
    with torch.enable_grad():
        _, residual = run_patched(setting.model, graph, setting.tokens[rows], inputs, every, unused, edit=watch)
        values = measure.per_prediction(
            setting.predictions(residual, rows), setting.model_logits[scored], setting.answers[scored]
        )
        (values.sum() / len(setting.rows)).backward(inputs=[inputs])


def gradient_bytes(sizes: Sizes) -> int:
    """What a patched run takes besides for the way back: most is what each head's norms and projections hold for it."""
    return 2 * contribution_bytes(sizes) + 10 * sizes.n_layers * sizes.inputs_of_a_layer
