"""Gradients of a metric at every slot, for all methods that need them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.engine.contributions import contribution_bytes
from acdc.engine.setting import Setting
from acdc.engine.sizes import Sizes
from acdc.errors import NumericsError
from acdc.graph import Slot
from acdc.metrics import Metric
from acdc.models.backwards import Heads, Layers

#: Takes slots that share their parents, and the gradient at each.
Take = Callable[[Sequence[Slot], Float[Tensor, "slot prompt pos d_model"]], None]
#: Takes the indices of nodes that write to one place of the residual stream, and the gradient at what each writes.
TakeNodes = Callable[[slice, Float[Tensor, "prompt pos d_model"]], None]
#: Takes a layer's heads as they were run, and the gradients at their queries, keys and values by letter.
TakeHeads = Callable[[Heads, Mapping[str, Float[Tensor, "head prompt pos d_head"]]], None]


class Pass:
    """The whole model run on some prompts, and the way back from a metric to every slot.

    The gradient at a slot is a total one: of the metric's mean over *all* of the setting's predictions, when
    what the slot reads moves and everything behind it follows. So gradients of chunks of prompts add up, and so
    do those of the slots that a node feeds: their sum is the gradient at what the node writes.

    Whatever changes how the model's parts compute must stand around both halves, the run and the way back.

    Attributes:
        values: the metric of each of these prompts' predictions in that state, ``[prediction]``.
        written: what every node wrote in it, ``[n_sources, prompt, pos, d_model]``; not with something added.
    """

    values: Float[Tensor, " prediction"]
    written: Float[Tensor, "n_sources prompt pos d_model"]

    def __init__(
        self, setting: Setting, measure: Metric, rows: slice, inputs: Float[Tensor, "n_inputs prompt pos d_model"]
    ) -> None:
        """Run the model.

        Args:
            setting: model and prompts.
            measure: the metric; it must have a gradient.
            rows: which of the prompts; those that are run together are ``setting.contributions.chunks``.
            inputs: what the input nodes write on them.
        """
        self._layers = Layers(setting.model, setting.graph, setting.tokens[rows])
        self._begin(setting, measure, rows)
        self.written = written = inputs.new_empty(setting.graph.n_sources, *inputs.shape[1:])
        written[: len(inputs)] = inputs
        self._first, self._before = 0, [inputs.detach().sum(0)]  # what each step reads
        self._run(written)

    def _begin(self, setting: Setting, measure: Metric, rows: slice) -> None:
        self._setting, self._measure, self._rows = setting, measure, rows

    def with_added(self, source: int, value: Float[Tensor, "prompt pos d_model"]) -> Pass:
        """The same with something added to what a node writes: all that it feeds reads that, and what follows from it.

        What comes before the node isn't run again, and the way back ends behind it.

        Args:
            source: the node's index.
            value: what is added.
        """
        other = Pass.__new__(Pass)
        other._layers = self._layers
        other._begin(self._setting, self._measure, self._rows)
        other._first = self._layers.step_behind(source)
        other._before = [self._before[other._first] + value]
        other._run(None)
        return other

    @property
    def streams(self) -> Sequence[Float[Tensor, "prompt pos d_model"]]:
        """The residual stream in front of every step that was run (:class:`acdc.models.backwards.Layers`), and last."""
        return self._before

    def _run(self, written: Tensor | None) -> None:
        """All steps from the first on, and the metric; what nodes write is put into `written`."""
        setting, rows = self._setting, self._rows
        scored = setting.scored(rows)
        self._steps = []
        for step in range(self._first, self._layers.n_steps):
            x = self._before[-1]
            self._steps.append(parts := self._layers.run(step, x))
            for part in parts:
                if written is not None:
                    written[part.sources] = part.written
                del part.written  # of all heads' full width
                x = x + part.total.detach()
            self._before.append(x)
        with torch.enable_grad():
            self._residual = self._before[-1].detach().requires_grad_()
            values = self._measure.per_prediction(
                setting.predictions(self._residual, rows), setting.model_logits[scored], setting.answers[scored]
            )
            self._total = values.sum() / len(setting.rows)
        self.values = values.detach()

    def at_slots(self, take: Take, nodes: TakeNodes | None = None, heads: TakeHeads | None = None) -> None:
        """Go back, once; the values of the way are freed.

        Args:
            take: is handed the gradients, slots in the order of the way back; they are freed as soon as it returns.
            nodes: is handed those at what nodes write, likewise.
            heads: is handed those at what heads project, likewise.

        Raises:
            NumericsError: a gradient is NaN or infinite; says where.
        """
        (gradient,) = torch.autograd.grad(self._total, self._residual)
        del self._total
        self._check(self._setting.graph.slots[-1:], gradient)
        take([self._setting.graph.slots[-1]], gradient[None])
        while self._steps:
            parts = self._steps.pop()
            before = gradient
            for part in reversed(parts):
                if nodes is not None:
                    nodes(part.sources, before)
                if heads is not None and isinstance(part, Heads):
                    heads(part, part.at_projections(before))
                for slots, found in part.back(before):
                    self._check(slots, found)
                    take(slots, found)
                    gradient = gradient + found.sum(0)
        if nodes is not None and not self._first:
            nodes(slice(0, self._setting.graph.n_inputs), gradient)

    def _check(self, slots: Sequence[Slot], gradient: Tensor) -> None:
        if not bool(gradient.isfinite().all()):
            wider = "float32" if gradient.element_size() < 4 else "float64"
            raise NumericsError(
                f'the gradient of {self._measure.name} at {slots[0].name} is NaN or infinite; take `dtype="{wider}"`, '
                "another metric, or options of the method that are nearer to their defaults."
            )


def gradient_bytes(sizes: Sizes) -> int:
    """What a pass and the way back take besides a run.

    Changes and what nodes write; of every layer what its graph holds, most of it the MLP's and the heads' patterns; and
    of one layer at a time the gradients at its slots, as they are made.
    """
    layer = sizes.together * (16 * sizes.stream + 8 * sizes.d_mlp * sizes.element)
    patterns = 12 * sizes.n_heads * sizes.together * sizes.length
    return 2 * contribution_bytes(sizes) + sizes.n_layers * (layer + patterns) + 4 * sizes.inputs_of_a_layer
