"""A configuration's numbers never decide unchecked how much is built: the weights that are there do.

A billion layers in a config of 100 bytes would otherwise take all memory, whatever the
field is called. So what a model is made of is counted while it is built, against what
its weight files hold.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from acdc.errors import ModelError

#: Modules for each tensor of the files: activations, dropouts and containers have none.
_MODULES_A_TENSOR = 64
#: Parts of small models weigh more than their weights: masks and rotations of long contexts.
_FREE_MODULES, _FREE_BYTES = 4096, 1 << 30
#: Numbers in a config up to this never take long, whatever they count.
_FREE_COUNT = 1 << 20
#: Words in names of what is no count of anything that is built.
_NO_COUNT = {"position", "positions", "ctx", "context", "seq", "length", "len", "window", "theta", "base", "seed"}
_NO_COUNT |= {"token", "id", "ids", "version"}


class _TooLarge(Exception):
    """More is built than the weights can fill."""


@contextmanager
def bounded(name: str, n_tensors: int, n_elements: int) -> Iterator[None]:
    """Refuse a model that is being built as soon as it is larger than its weights.

    To be used around building on the ``meta`` device, where parameters take no memory.

    Args:
        name: of the config, for the message.
        n_tensors: tensors in the weight files.
        n_elements: numbers in them.

    Raises:
        ModelError: it is larger.
    """
    thread = threading.get_ident()  # the hooks are torch's own, for all threads
    counts = {"modules": 0, "parameters": 0, "bytes of buffers": 0}
    most = {
        "modules": _FREE_MODULES + _MODULES_A_TENSOR * n_tensors,
        "parameters": 4 * n_elements + n_tensors,  # tied weights are registered up to three times
        "bytes of buffers": _FREE_BYTES + 16 * n_elements,
    }

    def count(what: str, amount: int) -> None:
        if threading.get_ident() == thread:
            counts[what] += amount
            if counts[what] > most[what]:
                raise _TooLarge

    def on_module(module: nn.Module, name: str, part: nn.Module | None) -> None:
        count("modules", 1)

    def on_parameter(module: nn.Module, name: str, part: Tensor | None) -> None:
        count("parameters", 0 if part is None else part.numel())

    def on_buffer(module: nn.Module, name: str, part: Tensor | None) -> None:
        count("bytes of buffers", 0 if part is None else part.numel() * part.element_size())

    hooks = [
        register_module_module_registration_hook(on_module),
        register_module_parameter_registration_hook(on_parameter),
        register_module_buffer_registration_hook(on_buffer),
    ]
    try:
        yield
    except _TooLarge:
        raise ModelError(
            f"{name} describes a model that is larger than its weights, which hold {n_elements} numbers in "
            f"{n_tensors} tensors; check its numbers."
        ) from None
    finally:
        for hook in hooks:
            hook.remove()


def check_counts(name: str, config: Mapping[str, Any], n_tensors: int, n_elements: int) -> None:
    """Refuse a config whose counts no weights of that size can have, before any library reads it.

    Some libraries already make a list of so many layers when they read the config.

    Args:
        name: of the config, for the message.
        config: its JSON; parts inside it are looked at too.
        n_tensors: tensors in the weight files.
        n_elements: numbers in them.

    Raises:
        ModelError: a field counts more than that.
    """
    for field, value in config.items():
        if isinstance(value, Mapping):
            check_counts(name, value, n_tensors, n_elements)
        words = field.lower().split("_")
        if not isinstance(value, int) or isinstance(value, bool) or _NO_COUNT.intersection(words):
            continue
        # A field such as hidden_size_per_layer_input counts no layers.
        most = max(n_tensors, 1) if words[-1] in ("layer", "layers") else max(n_elements, _FREE_COUNT)
        if value > most:
            raise ModelError(
                f"{name}: {field} is {value if value < 10**12 else 'a huge number'}, but the weights hold "
                f"{n_elements} numbers in {n_tensors} tensors; check it."
            )
