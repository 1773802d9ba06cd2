"""The shape of a model, as far as its graph depends on it, and the size of that graph without building it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from acdc.errors import SettingsError

#: Bounds of a graph: past those of any model there is, and still no burden to hold.
MAX_NODES, MAX_EDGES = 2**16, 2**29
_MAX_WIDTH = 2**31


@dataclass(frozen=True)
class GraphConfig:
    """What a model's graph depends on.

    Attributes:
        n_layers: number of blocks.
        n_heads: query heads a layer; with grouped queries, every query head has its
            own key and value slot (MIB's convention).
        d_model: width of the residual stream; kept because circuit files carry it.
        parallel_attn_mlp: an MLP reads what its block's attention reads (GPT-J,
            GPT-NeoX, Falcon, Phi), not the attention's output.
        attn_only: there are no MLPs.
        split_input: ``embed`` and ``pos_embed`` in place of ``input``.
    """

    n_layers: int
    n_heads: int
    d_model: int = 0
    parallel_attn_mlp: bool = False
    attn_only: bool = False
    split_input: bool = False

    def __post_init__(self) -> None:
        for name, least in (("n_layers", 1), ("n_heads", 1), ("d_model", 0)):
            number = _whole(getattr(self, name))
            if number is None or not least <= number:
                raise SettingsError(
                    f"a graph needs {name} of at least {least}, a whole number, got {_shown(getattr(self, name))}."
                )
            if number > _MAX_WIDTH:
                raise SettingsError(f"a graph of {name} {_shown(number)} is too large; at most {_MAX_WIDTH:,}.")
            object.__setattr__(self, name, number)
        for name in ("parallel_attn_mlp", "attn_only", "split_input"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise SettingsError(f"a graph's {name} is True or False, got {_shown(getattr(self, name))}.")
            object.__setattr__(self, name, bool(getattr(self, name)))
        if self.n_nodes > MAX_NODES or self.n_edges > MAX_EDGES:
            raise SettingsError(
                f"{self.n_layers:,} layers of {self.n_heads:,} heads make a graph of {self.n_nodes:,} nodes and "
                f"{self.n_edges:,} edges, too large; at most {MAX_NODES:,} nodes and {MAX_EDGES:,} edges."
            )

    def differences(self, other: GraphConfig) -> list[str]:
        """What gives the graph of `other` other edges than this one's, as ``n_layers 2 against 4``.

        The width of the residual stream has no part in that, and files written by hand may lack it.
        """
        values = ((one.name, getattr(self, one.name), getattr(other, one.name)) for one in fields(self))
        return [f"{name} {here} against {there}" for name, here, there in values if name != "d_model" and here != there]

    @property
    def n_nodes(self) -> int:
        """Nodes of its graph, without building it."""
        return (2 if self.split_input else 1) + self.n_layers * self._n_written + 1

    @property
    def n_edges(self) -> int:
        """Edges of its graph, without building it."""
        before = 2 if self.split_input else 1
        inputs = self.n_layers * before + self._n_written * (self.n_layers * (self.n_layers - 1) // 2)
        edges = 3 * self.n_heads * inputs  # each head's q, k and v read all that stands before its layer
        if not self.attn_only:
            edges += inputs if self.parallel_attn_mlp else inputs + self.n_layers * self.n_heads
        return edges + before + self.n_layers * self._n_written

    @property
    def _n_written(self) -> int:
        """Nodes of a layer."""
        return self.n_heads + (0 if self.attn_only else 1)


def _whole(value: object) -> int | None:
    """A whole number as Python's own; ``None`` for anything else."""
    return int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else None


def _shown(value: object) -> str:
    """A value for a message; Python refuses to write numbers of thousands of digits."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
