"""Products of matrices, by whichever of torch's two libraries suits the processor.

On a CPU ``torch.mm`` calls Intel's library, which uses 256 bits at a time on processors of other makers, whatever
they have. oneDNN, which torch carries as well, asks what a processor can do and not whose it is: with 512 bits it is
more than twice as fast there in float32. Its results are rounded otherwise (docs/speed.md says how). Which of the two
is called depends on what is multiplied, and on no time that was measured, so that the same product is always rounded
the same way.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

#: Multiplications and additions (two for each term) that pay for setting oneDNN up for a new shape, and for calling it.
_SET_UP, _CALL = 3e7, 3e6
#: Fewer rows, columns or terms than that leave most of a wide instruction idle.
_NARROWEST = 8
#: So many rows pay for a copy of a right side that can't be taken as it lies in memory.
_MANY_ROWS = 128
#: Terms of a sum (the k of a product) that are added up in one go where rounding counts. Intel's library takes as many,
#: or two halves of fewer than twice as many, and so `in_parts` mostly gives its bits.
_TERMS = 192
#: Columns whose terms are summed up in turn, so that sums stay in the cache and no more is copied at a time.
_COLUMNS = 2048
#: Bytes that oneDNN keeps for a shape; shapes that it keeps at most; shapes that come up for a slot of a graph, about.
_KEPT, _SHAPES, _OF_SLOT = 2**19, 1024, 3
#: Rows that pay for a copy in oneDNN's own order: it takes about as long as so many then save. And rows of a product
#: that the order is chosen for.
_PACKED_BEHIND, _PACKED_FOR = 8192, 1024
#: How far a product on trial may be off, relative to the largest number.
_TOLERANCE = 1e-5


def product(
    x: Float[Tensor, "*row k"],
    weight: Float[Tensor, "k n"],
    base: Float[Tensor, "#row n"] | Float[Tensor, " n"] | None = None,
    *,
    out: Float[Tensor, "row n"] | None = None,
    repeats: int = 1,
    in_parts: bool = False,
) -> Float[Tensor, "*row n"]:
    """``x @ weight + base``.

    Args:
        x: the left side.
        weight: the right side.
        base: what is added to every row or, where `x` is a matrix, to each its own.
        out: room that may be written over, where `x` is a matrix; may be `base`. Use what is returned.
        repeats: how often a product of these shapes comes up in turn.
        in_parts: terms are added up as few at a time as ``torch.mm`` does, so that rounding is the same: for whole
            values that others are compared with. It takes oneDNN 5 to 50 % longer, by shape.

    Returns:
        The result, in `out` or in memory of its own.
    """
    if x.dim() != 2:
        rows = x.flatten(0, -2)
        return product(rows, weight, base, repeats=repeats, in_parts=in_parts).view(*x.shape[:-1], weight.shape[1])
    if _suits_onednn(x, weight, base, repeats, in_parts):
        return _in_parts(x, weight, base) if in_parts else _by_onednn(x, weight, base)
    return torch.mm(x, weight, out=out) if base is None else torch.addmm(base, x, weight, out=out)


def pairwise_products(
    x: Float[Tensor, "one row k"], weight: Float[Tensor, "one k n"], *, out: Float[Tensor, "one row n"] | None = None
) -> Float[Tensor, "one row n"]:
    """``x @ weight`` of each of several pairs of matrices.

    Args:
        x: the left sides.
        weight: the right sides.
        out: room for the result.
    """
    if not len(x) or not _suits_onednn(x[0], weight[0], None, len(x)):
        return torch.bmm(x, weight, out=out)
    found = x.new_empty(*x.shape[:2], weight.shape[2]) if out is None else out
    for own, left, right in zip(found, x, weight, strict=True):
        own.copy_(_by_onednn(left, right, None))
    return found


class RightSide:
    """The right side of many products, ``[k, n]``, which isn't edited meanwhile.

    oneDNN copies what it multiplies by into an order of its own, every time. So of a matrix that many rows have been
    multiplied by such a copy is kept. That changes no result: the same numbers are added up in the same order.
    """

    def __init__(self, weight: Float[Tensor, "k n"], room: Callable[[tuple[int, int]], Tensor] | None) -> None:
        """Begin without a copy.

        Args:
            weight: the matrix.
            room: gives room of a shape, to turn the matrix in; ``None`` where there is no memory for a copy of it.
        """
        self._weight, self._room = weight, room
        self._rows = 0  # that oneDNN has multiplied it by
        self._copy: Tensor | None = None

    def product(
        self,
        x: Float[Tensor, "row k"],
        base: Float[Tensor, "row n"] | Float[Tensor, " n"] | None = None,
        *,
        out: Float[Tensor, "row n"] | None = None,
    ) -> Float[Tensor, "row n"]:
        """``x @ weight + base``, as :func:`product` gives it."""
        if self._room is None or not _suits_onednn(x, self._weight, base):
            return product(x, self._weight, base, out=out)
        self._rows += len(x)
        if self._copy is None and self._rows >= _PACKED_BEHIND and packs():
            k, n = self._weight.shape
            self._copy = _packed(self._room((n, k)).copy_(self._weight.T))
        return _linear(x, _turned(self._weight) if self._copy is None else self._copy, base)


def quick_modules(rows: int, width: int) -> AbstractContextManager[object]:
    """Let modules that are run meanwhile multiply as :func:`product` does in parts, where gradients are switched off.

    Args:
        rows: tokens that go through them.
        width: of the residual stream; nothing is done where a map to four times that width is a small product.
    """
    return _QuickModules() if 8.0 * rows * width * width >= _SET_UP and uses_onednn() else nullcontext()


class _QuickModules(TorchFunctionMode):
    """Sees every call of torch, and takes those that multiply all rows by one matrix: linear maps, GPT-2's "Conv1D"."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in (F.linear, torch.addmm) and not kwargs and not torch.is_grad_enabled():
            x, weight, base = (*args, None)[:3] if func is F.linear else (*args[1:], args[0])
            if _are_plain(x, weight, base):
                rows, right = x.flatten(0, -2), weight.T if func is F.linear else weight
                if _suits_onednn(rows, right, base, in_parts=True):
                    return _in_parts(rows, right, base).view(*x.shape[:-1], right.shape[1])
        return func(*args, **(kwargs or {}))


def _are_plain(x: Any, weight: Any, base: Any) -> bool:
    """Whether these are rows, a matrix and perhaps what is added; not sparse, say, nor of another class."""
    given = (x, weight) if base is None else (x, weight, base)
    plain = all(type(one) in (Tensor, nn.Parameter) and one.layout == torch.strided for one in given)
    return plain and x.dim() > 1 and weight.dim() == 2


def _suits_onednn(x: Tensor, weight: Tensor, base: Tensor | None, repeats: int = 1, in_parts: bool = False) -> bool:
    """Whether oneDNN takes a product as it is, and likely in less time; see :func:`product`."""
    (rows, k), n = x.shape, weight.shape[1]
    flops = 2.0 * rows * k * n
    given = (x, weight) if base is None else (x, weight, base)
    return (
        k == len(weight)
        and flops >= _CALL
        and flops * repeats >= _SET_UP
        and min(rows, k, n) >= _NARROWEST
        and all(one.dtype == torch.float32 and one.device.type == "cpu" for one in given)
        and not (torch.is_grad_enabled() and any(one.requires_grad for one in given))
        # In any other layout its operations read beyond what is theirs.
        and (x.stride(1) == 1 and x.stride(0) >= k)
        and (base is None or (base.is_contiguous() and base.shape in ((n,), (rows, n))))
        and (rows >= _MANY_ROWS or weight.is_contiguous() or (weight.T.is_contiguous() and not in_parts))
        and uses_onednn()
    )


def _in_parts(x: Tensor, weight: Tensor, base: Tensor | None) -> Tensor:
    """As :func:`_by_onednn`, some columns and some terms at a time."""
    n_terms, n_columns = weight.shape
    if n_terms <= _TERMS:
        return _by_onednn(x, weight, base)
    terms = _TERMS if n_terms >= 2 * _TERMS else math.ceil(n_terms / 2)
    width = math.ceil(n_columns / math.ceil(n_columns / _COLUMNS))
    lefts = [left.contiguous() for left in x.split(terms, 1)]
    found = x.new_empty(len(x), n_columns)
    for first in range(0, n_columns, width):
        columns = slice(first, first + width)
        sums = None if base is None else base[..., columns].contiguous()
        for left, right in zip(lefts, weight[:, columns].split(terms), strict=True):
            sums = _by_onednn(left, right, sums)
        assert sums is not None  # there is a part
        found[:, columns] = sums
    return found


def _by_onednn(x: Tensor, weight: Tensor, base: Tensor | None) -> Tensor:
    """``x @ weight + base``."""
    return _linear(x, _turned(weight), base)


def _turned(weight: Tensor) -> Tensor:
    """A right side, ``[k, n]`` to ``[n, k]``; copied as it lies, if at all: to turn it takes much longer."""
    return weight.contiguous().T if weight.stride(1) == 1 else weight.T.contiguous()


def _packed(turned: Float[Tensor, "n k"]) -> Tensor:
    """A dense right side in oneDNN's own order, which nothing but :func:`_linear` can read."""
    return torch.ops.mkldnn._reorder_linear_weight(turned.detach(), _PACKED_FOR)


def _linear(x: Tensor, turned: Tensor, base: Tensor | None) -> Tensor:
    """``x @ turned.T + base``, of a right side turned or packed.

    By operations that are private to torch, therefore tried first (see :func:`_serves` and :func:`_serves_packed`).
    """
    linear = torch.ops.mkldnn._linear_pointwise
    if base is None or base.dim() == 1:
        return linear(x, turned, base, "none", [], "")
    return linear.binary(x, base, turned, None, "add")


def uses_onednn() -> bool:
    """Whether large products of float32 matrices on a CPU go to oneDNN."""
    return bool(torch.backends.mkldnn.enabled) and _serves()


def packs() -> bool:
    """Whether right sides of many products are kept in oneDNN's own order."""
    return uses_onednn() and _serves_packed()


def kept_bytes(slots: int) -> int:
    """What oneDNN keeps after a run, of all the shapes that it has been set up for.

    Args:
        slots: of the graph.
    """
    return _KEPT * min(_SHAPES, _OF_SLOT * slots) if uses_onednn() else 0


@cache
def _serves() -> bool:
    """Whether oneDNN is there, has instructions to be quicker by, and is right in every way that it is called."""
    if not torch.backends.mkldnn.is_available() or not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    return _are_right(_turned)


@cache
def _serves_packed() -> bool:
    """Whether it is right, likewise, by right sides in its own order."""
    return _are_right(lambda weight: _packed(_turned(weight).contiguous()))


def _are_right(made: Callable[[Tensor], Tensor]) -> bool:
    """Whether products are, by what is made of their right sides for oneDNN."""
    random = torch.Generator().manual_seed(0)
    kind: dict[str, Any] = {"device": "cpu", "dtype": torch.float32}  # whatever is torch's default
    x, weight, base = (torch.randn(shape, generator=random, **kind) for shape in ((33, 80), (40, 48), (33, 48)))
    lefts = x[:, :40], x[:, 40:].contiguous()
    rights = weight, weight.T.contiguous().T, weight.repeat(1, 2)[:, :48]
    try:
        ways = [(right, made(right)) for right in rights]
        return all(_is_right(*each) for each in itertools.product(lefts, ways, (None, base[0], base)))
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):  # torch has it no more, or otherwise
        return False


def _is_right(x: Tensor, right: tuple[Tensor, Tensor], base: Tensor | None) -> bool:
    weight, made = right
    expected = x.double() @ weight.double() + (0 if base is None else base)
    return bool(((_linear(x, made, base) - expected).abs() <= _TOLERANCE * expected.abs().max()).all())
