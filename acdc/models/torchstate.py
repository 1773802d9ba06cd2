"""The state of torch that acdc computes in, whatever the caller has set around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

_AUTOCAST = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def own_torch_state() -> Iterator[None]:
    """Compute as in a fresh Python, and leave the caller's settings as they are.

    Inference mode would forbid the gradients of attribution, autocast would round every
    product, and defaults of dtype and device decide what new tensors are. So results are the
    same, bit by bit, inside any of them. The caller's random numbers go on as if nothing had been drawn.
    """
    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in _AUTOCAST:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device() != torch.device("cpu"):  # only where needed: it slows every call of torch
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(_whole_products())
        stack.callback(torch.set_default_dtype, dtype)
        torch.set_default_dtype(torch.float32)
        yield


@contextmanager
def _whole_products() -> Iterator[None]:
    """Products of float32 in float32, not in the shorter types that hardware offers for them."""
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # set by torch's newer interface, which the older one then refuses to read
        places: list[Any] = [getattr(torch.backends, part).matmul for part in ("cuda", "mkldnn")]
        precisions = [place.fp32_precision for place in places]
        try:
            for place in places:
                place.fp32_precision = "ieee"
            yield
        finally:
            for place, precision in zip(places, precisions, strict=True):
                place.fp32_precision = precision
        return
    try:
        torch.set_float32_matmul_precision("highest")
        yield
    finally:
        torch.set_float32_matmul_precision(before)
