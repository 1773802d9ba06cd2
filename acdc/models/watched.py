"""Weights that are loaded under watch: which of them the library used, and whether it used them as they were meant."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from acdc.errors import ModelError
from acdc.models.checkpoint import Checkpoint
from acdc.models.harmless import is_draft_layer, why_harmless


class Watched:
    """A tensor of a file that is read when the library takes it, and remembers that it was."""

    def __init__(self, stored: Any) -> None:
        self.stored = stored
        self.used = False

    def get_shape(self) -> list[int]:
        """Its shape, unread."""
        return self.stored.get_shape()

    def get_dtype(self) -> str:
        """Its type as safetensors names it, unread."""
        return self.stored.get_dtype()

    def __getitem__(self, index: Any) -> Tensor:
        self.used = True
        return self.stored[index]


@contextlib.contextmanager
def opened(checkpoint: Checkpoint) -> Iterator[dict[str, Watched]]:
    """All tensors of the weight files, to be read when they are taken."""
    from safetensors import safe_open

    with contextlib.ExitStack() as stack:
        files = {file: stack.enter_context(safe_open(file, framework="pt")) for file in checkpoint.files}
        yield {key: Watched(files[tensor.file].get_slice(key)) for key, tensor in checkpoint.tensors.items()}


def differing_buffers(checkpoint: Checkpoint, watched: Mapping[str, Watched], model: Any) -> list[str]:
    """Masks and rotations that older versions saved, and that are made anew otherwise than they were.

    To be called while the files are open.
    """
    own = dict(model.named_buffers())
    frequencies = [buffer for key, buffer in own.items() if key.endswith("rotary_emb.inv_freq")]
    differing = []
    for key, tensor in watched.items():
        kind, shape = key.rpartition(".")[2], checkpoint.tensors[key].shape
        if tensor.used or kind not in ("bias", "causal_mask", "inv_freq"):
            continue
        if kind == "inv_freq":
            # Scaled ones were saved before they were scaled.
            rope = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
            made = frequencies if rope.get("rope_type", "default") == "default" else []
        else:
            made = [own[key]] if key in own else [torch.ones(shape[-2:]).tril()] if len(shape) == 4 else []
        if made and not any(_same(tensor.stored[...], buffer) for buffer in made):
            differing.append(key)
    return differing


def _same(stored: Tensor, made: Tensor) -> bool:
    """Whether two buffers hold the same, as far as half precision could say it."""
    return stored.numel() == made.numel() and torch.allclose(
        stored.float().flatten(), made.float().flatten(), rtol=1e-2, atol=1e-5
    )


def check_ties(name: str, planned: Any, model: Any) -> None:
    """Refuse an unembedding of its own where the config says that it is the embedding.

    The library then takes the file's word against the config's, with a warning that nobody sees.
    """
    said = planned.get_output_embeddings(), planned.get_input_embeddings()
    is_ = model.get_output_embeddings(), model.get_input_embeddings()
    if said[0] is not None and said[0].weight is said[1].weight and is_[0].weight is not is_[1].weight:
        raise ModelError(
            f"{name}: the weights have an unembedding that differs from the embedding, but config.json ties them "
            "(tie_word_embeddings); set it to false, or remove the tensor that isn't meant."
        )


def check_amount(name: str, checkpoint: Checkpoint, watched: Mapping[str, Watched], model: Any) -> None:
    """Refuse weights of which several fall on the same parameter, and parameters that got no weights.

    The library loses all but one of the first in silence, and draws some of the second at random.
    """
    stored = sum(math.prod(checkpoint.tensors[key].shape) for key, tensor in watched.items() if tensor.used)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    held = {id(tensor): tensor.numel() for tensor in model.state_dict(keep_vars=True).values()}
    ends = {_end(key) for key in watched}
    # Tied and both in the file; the library has seen that they are equal.
    twice = sum(model.get_parameter(key).numel() for key in model.all_tied_weights_keys if _end(key) in ends)
    if stored > sum(held.values()) + twice:
        raise ModelError(
            f"{name}: several tensors of the weights are for the same parameter ({stored} numbers for "
            f"{sum(held.values())}); keep the ones that are meant."
        )
    if stored < parameters:
        raise ModelError(f"{name}: the weights hold {stored} numbers for {parameters} of the model; check the files.")


def _end(key: str) -> str:
    """``lm_head.weight`` of ``model.lm_head.weight``: the library may change what stands before."""
    return ".".join(key.split(".")[-2:])


def unused_tensors(checkpoint: Checkpoint, watched: Mapping[str, Watched], config: Mapping[str, Any]) -> list[str]:
    """Tensors that the library left out, and of which it isn't known that they change nothing."""
    left = (checkpoint.tensors[key] for key, tensor in watched.items() if not tensor.used)
    return sorted(
        tensor.name
        for tensor in left
        if why_harmless(tensor.name, tensor.dtype, tensor.shape) is None and not is_draft_layer(tensor.name, config)
    )
