"""A transformer without norms, written head by head: what it reads and writes lies in named parts of the stream.

The residual stream is cut into *rooms* that don't overlap. The embedding writes each symbol's and each
position's own unit vector into two of them, and a head or an MLP reads some rooms and writes one. So an edge
carries something exactly where the source writes a room that the slot reads. All weights are NumPy arrays; nothing
here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: So much more is a score than another that attention is all there: exp(-30) is 1e-13.
SURE = 30.0
#: Rooms that every model has: of symbols, positions, what the unembedding reads, and what nothing is meant to read.
SYMBOL, POSITION, OUTPUT, SPARE = "symbol", "position", "output", "spare"
_SPARE_WIDTH = 6


class Blueprint:
    """Weights of a model in the making.

    Args:
        vocabulary: its symbols in the order of their ids; it has as many outputs.
        n_ctx: positions.
        n_layers, n_heads: its shape.
        rooms: names and widths of further rooms.
        d_mlp: units of an MLP; 0 for a model of attention alone.
        loudness: what a unit in the output room adds to a symbol's logit.

    Attributes:
        symbols: id of each symbol.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        n_ctx: int,
        n_layers: int,
        n_heads: int,
        rooms: Mapping[str, int] | None = None,
        *,
        d_mlp: int = 0,
        loudness: float = 8.0,
    ) -> None:
        self.symbols = {symbol: number for number, symbol in enumerate(vocabulary)}
        n = len(self.symbols)
        widths = {SYMBOL: n, POSITION: n_ctx, OUTPUT: n, **(rooms or {}), SPARE: _SPARE_WIDTH}
        ends = np.cumsum(list(widths.values()))
        self._rooms = {name: slice(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True)}
        self.d_model, self.d_head, self.d_mlp = int(ends[-1]), max(widths.values()), d_mlp
        self.n_ctx, self.n_layers, self.n_heads = n_ctx, n_layers, n_heads
        self._made: dict[str, np.ndarray] = {}
        self._blocks: dict[tuple[int, int | None], dict[str, np.ndarray]] = {}
        self._loudness = loudness
        self._embed()

    def _embed(self) -> None:
        n = len(self.symbols)
        self._made["embed.W_E"] = self._into(SYMBOL, np.eye(n))
        self._made["pos_embed.W_pos"] = self._into(POSITION, np.eye(self.n_ctx))
        self._made["unembed.W_U"] = self._loudness * self._into(OUTPUT, np.eye(n)).T
        self._made["unembed.b_U"] = np.zeros(n)

    def lean(self, symbol: str, by: float) -> None:
        """Add a constant to a symbol's logit, in the units of the output room."""
        self._made["unembed.b_U"][self.symbols[symbol]] = by * self._loudness

    def _into(self, room: str, matrix: np.ndarray) -> np.ndarray:
        """Rows of a room's width as rows of the residual stream's."""
        made = np.zeros((len(matrix), self.d_model))
        made[:, self._rooms[room]] = matrix
        return made

    def marks(self, *symbols: str) -> np.ndarray:
        """``[n symbols]``, 1 at some of them and 0 at the others."""
        made = np.zeros(len(self.symbols))
        made[[self.symbols[symbol] for symbol in symbols]] = 1
        return made

    def head(
        self,
        layer: int,
        head: int,
        *,
        scores: tuple[str, str, np.ndarray] | None = None,
        value: tuple[str, np.ndarray],
        into: str,
    ) -> None:
        """Write a head.

        Args:
            layer, head: which.
            scores: the room that queries read, the room that keys read, and ``[query's width, key's width]``, what
                a query of each direction scores for a key of each; without it, all that is visible is attended alike.
            value: the room that values read, and ``[width, width of into]``, what they become.
            into: the room that is written.
        """
        shape = (self.d_model, self.d_head)
        made = {"W_Q": np.zeros(shape), "W_K": np.zeros(shape), "W_V": np.zeros(shape)}
        made["W_O"] = np.zeros(shape).T
        if scores is not None:
            query, key, table = scores
            made["W_Q"][self._rooms[query], : table.shape[1]] = table * np.sqrt(self.d_head)  # scores are divided by it
            made["W_K"][self._rooms[key], : table.shape[1]] = np.eye(table.shape[1])
        read, becomes = value
        made["W_V"][self._rooms[read], : becomes.shape[1]] = becomes
        made["W_O"][: becomes.shape[1], self._rooms[into]] = np.eye(becomes.shape[1])
        self._blocks[layer, head] = made

    def mlp(self, layer: int, units: Sequence[tuple[Mapping[str, np.ndarray], float, np.ndarray]], into: str) -> None:
        """Write an MLP of rectified units, each the rooms that it reads and by what, its bias, and what it writes."""
        made = {"W_in": np.zeros((self.d_model, self.d_mlp)), "b_in": np.zeros(self.d_mlp)}
        made["W_out"] = np.zeros((self.d_mlp, self.d_model))
        for number, (reads, bias, writes) in enumerate(units):
            for room, weights in reads.items():
                made["W_in"][self._rooms[room], number] = weights
            made["b_in"][number] = bias
            made["W_out"][number, self._rooms[into]] = writes
        self._blocks[layer, None] = made

    def weights(self) -> dict[str, np.ndarray]:
        """All weights by TransformerLens' names, float32.

        Heads and MLPs that weren't written are bystanders: they read everything by random weights, and write what
        comes of it into the spare room, which only other bystanders read.
        """
        chance = np.random.default_rng(0)
        made = dict(self._made)
        for layer in range(self.n_layers):
            heads = [self._blocks.get((layer, head)) or self._bystander(chance) for head in range(self.n_heads)]
            for name in ("W_Q", "W_K", "W_V", "W_O"):
                made[f"blocks.{layer}.attn.{name}"] = np.stack([head[name] for head in heads])
            if self.d_mlp:
                mlp = self._blocks.get((layer, None)) or self._bystanding_mlp(chance)
                made |= {f"blocks.{layer}.mlp.{name}": mlp[name] for name in ("W_in", "b_in", "W_out")}
        return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in made.items()}

    def _bystander(self, chance: np.random.Generator) -> dict[str, np.ndarray]:
        made = {name: chance.standard_normal((self.d_model, self.d_head)) for name in ("W_Q", "W_K", "W_V")}
        writes = np.zeros((self.d_head, self.d_model))
        writes[:, self._rooms[SPARE]] = chance.standard_normal((self.d_head, _SPARE_WIDTH)) / self.d_head
        return {**made, "W_O": writes}

    def _bystanding_mlp(self, chance: np.random.Generator) -> dict[str, np.ndarray]:
        writes = np.zeros((self.d_mlp, self.d_model))
        writes[:, self._rooms[SPARE]] = chance.standard_normal((self.d_mlp, _SPARE_WIDTH)) / self.d_mlp
        reads = chance.standard_normal((self.d_model, self.d_mlp))
        return {"W_in": reads, "b_in": np.zeros(self.d_mlp), "W_out": writes}

    @property
    def config(self) -> dict[str, Any]:
        """The fields of its configuration, as a folder's ``model_config`` has them."""
        n = len(self.symbols)
        mlp = {"d_mlp": self.d_mlp, "act_fn": "relu"} if self.d_mlp else {"act_fn": None}
        return {
            "n_layers": self.n_layers,
            "n_heads": self.n_heads,
            "d_model": self.d_model,
            "d_head": self.d_head,
            "n_ctx": self.n_ctx,
            "d_vocab": n,
            "d_vocab_out": n,
            "attn_only": not self.d_mlp,
            **mlp,
            "normalization_type": None,
            "attention_dir": "causal",
        }
