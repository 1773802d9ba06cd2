"""What a run's memory depends on. Each part says by it how many bytes it takes; :mod:`acdc.engine.memory` adds up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of things, and the size of a number.

    Attributes:
        n_layers, n_heads, n_sources, d_model, d_head, n_outputs: of the model and its graph.
        d_mlp: numbers between the products of an MLP, of both where there is a gate.
        mlp_weights: numbers of an MLP's matrices.
        element: bytes of a number, in the model's precision.
        length: tokens of the longest prompt.
        tokens: of all prompts, padded.
        together: of those that are run together.
        predictions: that are scored.
        live: places where a removal can change something.
    """

    n_layers: int
    n_heads: int
    n_sources: int
    d_model: int
    d_head: int
    d_mlp: int
    mlp_weights: int
    n_outputs: int
    element: int
    length: int
    tokens: int
    together: int
    predictions: int
    live: int

    @property
    def stream(self) -> int:
        """Bytes of one place in the residual stream."""
        return self.d_model * self.element

    @property
    def inputs_of_a_layer(self) -> int:
        """Bytes of what the slots of a layer's heads read, of the prompts that are run together."""
        return 3 * self.n_heads * self.together * self.stream
