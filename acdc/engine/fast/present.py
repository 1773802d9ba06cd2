"""The present circuit's values: at first the whole model's, later those of the runs that were accepted.

Keys are numbers of the graph: of slots, and of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from acdc.engine.fast.baseline import Baseline
from acdc.engine.fast.downstream import Reads
from acdc.engine.fast.heads import HeadVectors, LayerHeads
from acdc.engine.fast.indices import index
from acdc.engine.fast.mlps import LayerMlp
from acdc.engine.fast.trial import Effect, NewInputs, NewMlpOutput, NewVectors, Trial
from acdc.engine.sizes import Sizes
from acdc.graph import Slot

#: At live places, or at the answers.
AtPlaces = Float[Tensor, "place d_model"]


class Layers(dict[int, HeadVectors]):
    """Heads' vectors by layer, each made when it is first asked for: of layers that no kept edge leaves none ever is.

    Args:
        make: from a layer to its vectors.
    """

    def __init__(self, make: Callable[[int], HeadVectors]) -> None:
        super().__init__()
        self._make = make

    def make_now(self, layers: Iterable[int]) -> None:
        """Make those of some layers: on an accelerator, making them later would hold up a decision."""
        self.update({layer: self._make(layer) for layer in layers})

    def __missing__(self, layer: int) -> HeadVectors:
        self[layer] = found = self._make(layer)
        return found


class Present:
    """Cached values of the present circuit.

    Attributes:
        vectors: by layer, its heads' queries, keys, values and mixtures.
        metric: the metric.
    """

    def __init__(
        self,
        baseline: Baseline,
        vectors: Mapping[int, HeadVectors],
        mlp_outputs: list[AtPlaces],
        inputs: dict[int, AtPlaces] | None = None,
    ) -> None:
        """Begin with the whole model, or with a circuit.

        Args:
            baseline: what never changes.
            vectors: by layer; taken over.
            mlp_outputs: by layer, at live places; likewise.
            inputs: by slot, at live places, where it isn't what the whole model has; likewise.
        """
        self._baseline = baseline
        self.vectors = vectors
        self.metric = 0.0
        self._inputs = {} if inputs is None else inputs  # by slot, where it has changed
        self._mlp_outputs = mlp_outputs  # by layer
        self._projections: dict[int, Tensor] = {}  # by slot, [live place or answer, d_head]
        self._first_products: dict[int, Sequence[Tensor]] = {}  # by layer, [live place or answer, d_mlp] each

    def input(self, slot: Slot, *, whole: bool) -> AtPlaces:
        """What a slot reads; needed at the answers alone, it is so for good."""
        changed = self._inputs.get(slot.index)
        if changed is None:
            return self._baseline.clean(slot, whole=whole)
        if not whole and len(changed) != len(self._baseline.answers):
            changed = self._inputs[slot.index] = self._baseline.at_answers(changed)
        return changed

    def inputs(self, reads: Reads) -> list[AtPlaces]:
        """What slots behind a change read before it."""
        return [self.input(slot, whole=reads.whole) for slot in reads.slots]

    def mlp_output(self, layer: int, *, whole: bool) -> AtPlaces:
        """What an MLP writes; needed at the answers alone, it is so for good."""
        output = self._mlp_outputs[layer]
        if not whole and len(output) != len(self._baseline.answers):
            output = self._mlp_outputs[layer] = self._baseline.at_answers(output)
        return output

    def first_products(self, slot: Slot, mlp: LayerMlp, *, whole: bool) -> Sequence[Float[Tensor, "place d_mlp"]]:
        """The first products of what an MLP reads."""
        layer = slot.node.layer or 0
        if layer not in self._first_products:
            self._first_products[layer] = mlp.first_products(self.input(slot, whole=whole))
        return self._first_products[layer]

    def projection(self, slot: Slot, heads: LayerHeads, *, whole: bool) -> Float[Tensor, "place d_head"]:
        """What :meth:`LayerHeads.first_products` makes of what a head's slot reads."""
        x, known = self.input(slot, whole=whole), self._projections.get(slot.index)
        if known is None or len(known) != len(x):
            known = heads.first_products(slot.letter or "q", [slot.node.head or 0], x[None])[0]
            self._projections[slot.index] = known
        return known

    def take(self, trial: Trial, run: int) -> None:
        """Make a run of a batch the present circuit's values."""
        for effect in trial.effects:
            self._take(effect, run)
        self.metric = float(trial.values[run])

    def _take(self, effect: Effect, run: int) -> None:
        if isinstance(effect, NewInputs):
            every = effect.of_run(run)
            for slot, values in zip(effect.slots, every, strict=True):
                self._projections.pop(slot.index, None)  # a slot keeps nothing of what it shares with others
                self._inputs[slot.index] = values if len(every) == 1 else values.clone()
        elif isinstance(effect, NewMlpOutput):
            self._mlp_outputs[effect.layer] = effect.of_run(run)
            self._first_products.pop(effect.layer, None)
        else:
            self._take_vectors(effect, run)

    def _take_vectors(self, effect: NewVectors, run: int) -> None:
        now, values = self.vectors[effect.layer][effect.kind], effect.values[:, run]  # [head, place, d_head]
        heads = index(effect.heads, now.device)
        if effect.kind in ("k", "v"):
            now[heads[:, None], self._baseline.live.prompt, self._baseline.live.position] = values
        elif effect.whole:
            now[heads] = values
        else:
            now[heads[:, None], self._baseline.answer_places] = values


def present_bytes(sizes: Sizes, changed: float) -> int:
    """Of all that is kept of the present circuit.

    Args:
        sizes: of the run.
        changed: share of the slots that are read anew behind a change.
    """
    vectors = 2 * sizes.n_layers * sizes.n_heads * (sizes.tokens + sizes.live) * sizes.d_head
    vectors += 3 * sizes.n_layers * sizes.n_heads * sizes.live * sizes.d_head  # and their first products
    of_mlps = sizes.n_layers * sizes.live * (sizes.d_model + sizes.d_mlp)  # what they write, and first products
    return sizes.element * (vectors + of_mlps) + changed_input_bytes(sizes, changed)


def changed_input_bytes(sizes: Sizes, changed: float) -> int:
    """What a share of the slots read, at the places that matter."""
    return int(changed * (sizes.n_layers * (3 * sizes.n_heads + 1) * sizes.live * sizes.stream))
