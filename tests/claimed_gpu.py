"""Tensors that claim to be on a GPU, so that the way through one can be tested without one.

Their numbers are real and lie in the CPU's memory, but ``device`` says ``cuda``, an operation
that mixes them with tensors on the CPU is refused as on a GPU, and every time that the host
would wait for the device is counted. What a GPU rounds otherwise, or how fast it is, does not
show.
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from pathlib import Path
from traceback import extract_stack
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

import acdc
from acdc.engine.fast.indices import kept_index

GPU = torch.device("cuda", 0)
_READ_BY_HOST = {"item", "tolist", "numpy", "__bool__", "__float__", "__int__", "__index__", "allclose", "equal"}
_READ_BY_HOST |= {"nonzero", "cpu", "is_nonzero", "__contains__", "masked_select", "unique"}
_INDEXED = {"__getitem__", "__setitem__"}
_MAY_MIX = _INDEXED | {"to", "copy_"}  # copies between devices; indices are copied
_COPIES = {"to", "cuda", "tensor", "as_tensor"}  # of what the host has, to the device


class ClaimedTensor(Tensor):
    """A tensor whose device is said to be the GPU; its operations are those of :class:`ClaimedGpu`."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError("outside of ClaimedGpu")


class ClaimedGpu(TorchFunctionMode):
    """Within it, ``cuda`` is a device.

    Attributes:
        waits: how often the host waited for the device, by what it called and the line of acdc.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __enter__(self) -> ClaimedGpu:
        kept_index.cache_clear()  # a real GPU has the same name
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        kept_index.cache_clear()
        super().__exit__(*raised)

    def claim(self, x: Any) -> Any:
        """A deep copy of anything, with all tensors in it claimed."""

        def claimed(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
            return memo.setdefault(id(tensor), _claimed(tensor.detach().clone()))

        with (
            mock.patch.object(Tensor, "__deepcopy__", claimed),
            mock.patch.object(torch.nn.Parameter, "__deepcopy__", claimed),
        ):
            return copy.deepcopy(x)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        leaves = tree_leaves((args, kwargs))
        on_gpu = any(isinstance(leaf, ClaimedTensor) for leaf in leaves)
        if func is torch.device:
            return func(*args, **kwargs)
        if on_gpu and func == Tensor.device.__get__:
            return GPU
        wants_gpu = any(_names(leaf, "cuda") for leaf in leaves)
        if on_gpu:
            self._check(name, leaves)
            self._count_wait(name, args, kwargs)
        elif wants_gpu and name in _COPIES and not kwargs.get("non_blocking"):  # what the host has goes there
            self.waits[f"{name} in {_line()}"] += 1
        out = func(*tree_map(_plain, args), **tree_map(_plain, kwargs))
        if name in ("cpu", "numpy"):
            return out
        if name == "to" and not wants_gpu:  # to a dtype, to the CPU, or to where another tensor is
            others = [leaf for leaf in tree_leaves((args[1:], kwargs)) if isinstance(leaf, Tensor)]
            to_cpu = any(_names(leaf, "cpu") for leaf in leaves)
            wants_gpu = isinstance(others[0], ClaimedTensor) if others else on_gpu and not to_cpu
        elif name in _INDEXED:
            wants_gpu = isinstance(args[0], ClaimedTensor)
        else:
            wants_gpu = wants_gpu or on_gpu
        return tree_map(_claimed, out) if wants_gpu else out

    @staticmethod
    def _check(name: str, leaves: list[Any]) -> None:
        mixed = any(type(leaf) is not ClaimedTensor and isinstance(leaf, Tensor) and leaf.dim() for leaf in leaves)
        if mixed and name not in _MAY_MIX:
            raise RuntimeError(f"{name}: tensors on the CPU and on the GPU, {_line()}")

    def _count_wait(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        waits = name in _READ_BY_HOST
        if name in _INDEXED and isinstance(args[0], ClaimedTensor):
            by = args[1] if isinstance(args[1], tuple) else (args[1],)
            waits = any(_is_copied(index) or _is_mask(index) for index in by)
        if name in _MAY_MIX - _INDEXED and not kwargs.get("non_blocking"):
            on = {isinstance(leaf, ClaimedTensor) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
            waits = len(on) > 1 or any(_names(leaf, "cpu") for leaf in tree_leaves((args, kwargs)))
        if waits:
            self.waits[f"{name} in {_line()}"] += 1


def _is_copied(index: Any) -> bool:
    """Whether an index is on the host and has to be copied."""
    return isinstance(index, list | np.ndarray) or (
        isinstance(index, Tensor) and not isinstance(index, ClaimedTensor) and index.dim() > 0
    )


def _is_mask(index: Any) -> bool:
    """Whether the result's size is known to the device only."""
    return isinstance(index, ClaimedTensor) and index.as_subclass(Tensor).dtype == torch.bool


def _claimed(x: Any) -> Any:
    return x.as_subclass(ClaimedTensor) if type(x) in (Tensor, torch.nn.Parameter) else x


def _plain(x: Any) -> Any:
    if isinstance(x, ClaimedTensor):
        return x.as_subclass(Tensor)
    return torch.device("cpu") if _names(x, "cuda") else x


def _names(x: Any, kind: str) -> bool:
    """Whether something names a device of a kind."""
    return isinstance(x, torch.device | str) and str(x).split(":")[0] == kind


def _line() -> str:
    """The innermost line of acdc."""
    package = f"{Path(acdc.__file__).parent}{os.sep}"
    inside = [frame for frame in extract_stack() if frame.filename.startswith(package)]
    return f"{inside[-1].filename.removeprefix(package)}:{inside[-1].lineno}" if inside else "a test"
