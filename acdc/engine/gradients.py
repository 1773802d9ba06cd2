"""Gradients of a metric at every slot, for all methods that need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.engine.contributions import contribution_bytes
from acdc.engine.setting import Setting
from acdc.engine.sizes import Sizes
from acdc.graph import Slot
from acdc.metrics import Metric
from acdc.models.patched import run_patched

#: Takes slots that share their parents, and the gradient at each.
Take = Callable[[Sequence[Slot], Float[Tensor, "slot prompt pos d_model"]], None]


class Pass:
    """The model run on some prompts, in any state, and the way back from a metric to every slot.

    The gradient at a slot is a total one: of the metric's mean over *all* of the setting's predictions, when
    what the slot reads moves and everything behind it follows. So gradients of chunks of prompts add up, and so
    do those of the slots that a node feeds: their sum is the gradient at what the node writes.

    Attributes:
        values: the metric of each of these prompts' predictions in that state, ``[prediction]``.
        written: what every node wrote in it, ``[n_sources, prompt, pos, d_model]``.
    """

    values: Float[Tensor, " prediction"]
    written: Float[Tensor, "n_sources prompt pos d_model"]

    def __init__(
        self,
        setting: Setting,
        measure: Metric,
        rows: slice,
        inputs: Float[Tensor, "n_inputs prompt pos d_model"],
        *,
        kept: Bool[Tensor, " n_edges"] | Float[Tensor, " n_edges"] | None = None,
        added: Mapping[int, Float[Tensor, "prompt pos d_model"]] | None = None,
    ) -> None:
        """Run the model.

        Args:
            setting: model and prompts.
            measure: the metric; it must have a gradient.
            rows: which of the prompts; those that are run together are ``setting.contributions.chunks``.
            inputs: what the input nodes write on them.
            kept: the edges that carry current values, or the share of it that each carries, as in
                :func:`acdc.models.patched.run_patched`; by default all of them carry all of it.
            added: to what nodes write, by their indices: everything that they feed reads their own output and
                this, and gradients flow on through the former.
        """
        graph, scored = setting.graph, setting.scored(rows)
        if kept is None:
            # No edge is removed, so what removed ones carry doesn't matter; the size of one number.
            kept = torch.ones(graph.n_edges, dtype=torch.bool)
            ablated = inputs.new_zeros(()).expand(graph.n_sources, *inputs.shape[1:])
        else:
            ablated = setting.contributions.ablated(rows)
        self._inputs = inputs.detach().requires_grad_()
        self._watched: list[tuple[Sequence[Slot], Tensor]] = []
        more = added or {}

        def watch(slots: Sequence[Slot], total: Tensor) -> Tensor:
            for source, value in more.items():
                if source < slots[0].n_parents:
                    total = total + value
            self._watched.append((slots, total))
            return total

        with torch.enable_grad():
            written, residual = run_patched(
                setting.model, graph, setting.tokens[rows], self._inputs, kept.detach(), ablated, edit=watch
            )
            values = measure.per_prediction(
                setting.predictions(residual, rows), setting.model_logits[scored], setting.answers[scored]
            )
            self._total = values.sum() / len(setting.rows)
        self.values, self.written = values.detach(), written.detach().clone()
        for source, value in more.items():
            self.written[source] += value

    def at_slots(self, take: Take) -> None:
        """Go back, once; the values of the way are freed.

        Args:
            take: is handed the gradients, slots in the order of the way back; they are freed as soon as it returns.
        """
        for slots, total in self._watched:
            total.register_hook(lambda gradient, slots=slots: take(slots, gradient))
        self._total.backward(inputs=[self._inputs])
        self._watched.clear()
        del self._total


def at_slots(
    setting: Setting,
    measure: Metric,
    rows: slice,
    inputs: Float[Tensor, "n_inputs prompt pos d_model"],
    take: Take,
    *,
    kept: Bool[Tensor, " n_edges"] | Float[Tensor, " n_edges"] | None = None,
    added: Mapping[int, Float[Tensor, "prompt pos d_model"]] | None = None,
) -> Float[Tensor, " prediction"]:
    """Run the model on some prompts, and back from a metric to every slot: a :class:`Pass` in one call.

    Args:
        setting: model and prompts.
        measure: the metric.
        rows: which of the prompts.
        inputs: what the input nodes write on them.
        take: is handed the gradients.
        kept: the edges that carry current values, or shares of it.
        added: to what nodes write, by their indices.

    Returns:
        The metric of each of these prompts' predictions, ``[prediction]``.
    """
    ran = Pass(setting, measure, rows, inputs, kept=kept, added=added)
    ran.at_slots(take)
    return ran.values


def gradient_bytes(sizes: Sizes) -> int:
    """What a patched run takes besides for the way back: most is what each head's norms and projections hold for it."""
    return 2 * contribution_bytes(sizes) + 10 * sizes.n_layers * sizes.inputs_of_a_layer
