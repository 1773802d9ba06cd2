"""A layer's MLP for many patched runs at once.

Where all that changes of its input is what a few heads write, the first product needs
``d_head`` numbers a head instead of ``d_model``: up to the norm's scale it is linear, so the
product of the input before the change is kept, and the change goes through ``W_O W_in``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, partial

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.engine.fast.gains import MixtureChange
from acdc.engine.fast.norms import centred, fold
from acdc.engine.fast.scratch import Scratch
from acdc.engine.sizes import Sizes
from acdc.models.mlp import NormedMlp
from acdc.models.model import Model
from acdc.models.norms import Norm
from acdc.models.products import RightSide, packs, product

#: Rows that are pushed through at a time: enough for fast products, few for the sake of memory.
BLOCK_ROWS = 2048
#: Products ``W_O W_in`` that are kept for an MLP: those of the slot's own head and of a few behind it.
_MOST_PRODUCTS = 8
#: Copies of all layers' weights that may be kept for quicker products, in bytes.
_MOST_COPIES = 2**31


class LayerMlp:
    """One layer's MLP.

    Attributes:
        plain: its weights, or ``None`` where it is run through its own module.
    """

    def __init__(self, model: Model, layer: int, scratch: Scratch, *, keeps_copies: bool = False) -> None:
        """Read it.

        Args:
            model: the model.
            layer: which one it is.
            scratch: where there is room.
            keeps_copies: of weights, for quicker products, as far as :func:`copy_bytes` allows; pays where many runs
                go through it.
        """
        self._model, self._layer, self._scratch = model, layer, scratch
        self.plain: NormedMlp | None = model.plain_mlp(layer)
        self._products: dict[int, list[Tensor]] = {}  # W_O W_in of the heads asked for last
        if self.plain is not None:
            plain = self.plain.plain
            weights = [plain.W_in, plain.W_out] + ([] if plain.W_gate is None else [plain.W_gate])
            fit = model.graph_config.n_layers * sum(one.nbytes for one in weights) <= _MOST_COPIES
            room = partial(scratch.take, "turned", like=plain.W_in) if keeps_copies and fit else None
            self._W_in, self._W_out, *gate = (RightSide(one, room) for one in weights)
            self._W_gate = gate[0] if gate else None

    @cached_property
    def _first(self) -> list[tuple[Tensor, Tensor | None]]:
        """The first products' weights, ``[d_model, d_mlp]``, and their biases; copies, made when they are needed."""
        if self.plain is None:
            raise ValueError("only a plain MLP has first products")
        mlp, norm = self.plain.plain, self.plain.before
        found = [_centred_fold(norm, mlp.W_in, mlp.b_in)]
        return found if mlp.W_gate is None else [*found, _centred_fold(norm, mlp.W_gate, None)]

    def run(
        self, x: Float[Tensor, "run place d_model"], *, spoils_input: bool = False
    ) -> Float[Tensor, "run place d_model"]:
        """What it writes.

        Args:
            x: what it reads.
            spoils_input: that may be written over, which is quicker.
        """
        if self.plain is None:
            return self._model.mlp(self._layer, x)
        rows = x.flatten(0, 1)
        if x.device.type != "cpu":
            return self.plain(rows).view_as(x)
        blocks = math.ceil(len(rows) / BLOCK_ROWS)  # of the same size: a short last one would be slow
        found = []
        for part in rows.chunk(blocks):
            own = part if spoils_input else self._scratch.take("rows", part.shape, part).copy_(part)
            found.append(self._run_rows(self.plain, own))
        return (found[0] if len(found) == 1 else torch.cat(found)).view_as(x)

    def _run_rows(self, mlp: NormedMlp, x: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_model"]:
        """What it writes; `x` is written over."""
        norm, plain = mlp.before, mlp.plain
        if (scale := centred(norm, x)) is not None:
            x *= scale
        if norm.weight is not None:
            x *= norm.weight
        if norm.bias is not None:
            x += norm.bias
        shape = (len(x), plain.W_in.shape[1])
        inner, gate = self._scratch.take("inner 0", shape, x), None
        if self._W_gate is not None:
            gate = self._W_gate.product(x, out=self._scratch.take("inner 1", shape, x))
        inner = self._W_in.product(x, plain.b_in, out=inner)
        return mlp.finish(self._W_out.product(plain.activated(inner, gate), plain.b_out))

    def first_products(self, x: Float[Tensor, "place d_model"]) -> list[Float[Tensor, "place d_mlp"]]:
        """The first products of an input, up to the norm's scale and without bias."""
        return [product(x, weight) for weight, _ in self._first]

    def is_worth(self, n_heads: int, d_head: int) -> bool:
        """Whether changes by so many heads are cheaper through :meth:`run_changed`."""
        return self.plain is not None and 2 * n_heads * d_head <= self.plain.plain.W_in.shape[0]

    def run_changed(
        self,
        gain: Float[Tensor, "run place 1"] | None,
        before: Sequence[Float[Tensor, "place d_mlp"]],
        heads: Sequence[MixtureChange],
    ) -> Float[Tensor, "run place d_model"]:
        """Like :meth:`run`, where only what some heads write has changed.

        Args:
            gain: what the norm multiplies the input after the change by.
            before: :meth:`first_products` of the input before it.
            heads: the heads, at the same places.
        """
        if self.plain is None:
            raise ValueError("only a plain MLP has first products")
        n, width = len(self._first), heads[0].weight.shape[1]
        change = torch.cat([head.change for head in heads], -1)  # [run, place, dimension]
        runs, places, _ = change.shape
        products = [torch.cat([self._product(head)[i] for head in heads]) for i in range(n)]
        out = change.new_empty(runs, places, width)
        step = max(1, BLOCK_ROWS // places)
        for i in range(0, runs, step):
            inner: list[Tensor] = []
            part = change[i : i + step]
            for (_, bias), weight, old in zip(self._first, products, before, strict=True):
                room = self._scratch.take(f"inner {len(inner)}", (len(part), *old.shape), old).flatten(0, 1)
                y = product(part.flatten(0, 1), weight, out=room)
                y.view(-1, *old.shape).add_(old)
                if gain is not None:
                    y *= gain[i : i + step].reshape(-1, 1)
                inner.append(y if bias is None else y.add_(bias))
            plain = self.plain.plain
            hidden = plain.activated(inner[0], inner[1] if n > 1 else None)
            out[i : i + step] = self.plain.finish(self._W_out.product(hidden, plain.b_out)).view(-1, places, width)
        return out

    def _product(self, head: MixtureChange) -> list[Tensor]:
        if head.source not in self._products:
            if len(self._products) >= _MOST_PRODUCTS:
                self._products.pop(next(iter(self._products)))
            self._products[head.source] = [product(head.weight, weight) for weight, _ in self._first]
        return self._products[head.source]


def _centred_fold(norm: Norm, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """A norm's weight, bias and centring moved into the product behind it."""
    weight, bias = fold(norm, weight, bias)
    return (weight - weight.mean(0) if norm.kind == "layer" else weight), bias


def mlp_bytes(sizes: Sizes) -> int:
    """All layers' first weights, folded, products with heads' last ones, and room for rows between the products."""
    weights = sizes.n_layers * (sizes.d_model + _MOST_PRODUCTS * sizes.d_head) * sizes.d_mlp
    return sizes.element * (weights + max(BLOCK_ROWS, sizes.live) * (sizes.d_model + sizes.d_mlp))


def copy_bytes(sizes: Sizes) -> int:
    """Copies of all layers' weights that a CPU keeps in single precision, and room to turn one."""
    copies = sizes.n_layers * sizes.mlp_weights * sizes.element
    return copies + sizes.mlp_weights * sizes.element if copies <= _MOST_COPIES and packs() else 0
