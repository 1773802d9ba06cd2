"""A model that is loaded, with what opening it needs, before TransformerLens bridges it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from acdc.errors import ModelError
from acdc.models.libraries import is_out_of_memory, quiet
from acdc.models.positions import forget_lengths
from acdc.wording import first_line

#: Gives the model's own logits, ``[batch, pos]`` ids to ``[batch, pos, n_outputs]``.
Oracle = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Source:
    """A model that is loaded but not bridged yet.

    Attributes:
        name: what it was asked for by.
        oracle: its own logits; to be asked before :attr:`bridge` is called.
        bridge: makes the TransformerLens bridge.
        tokenizer: a Hugging Face tokenizer, or ``None``.
        vocab_size: token ids lie below it.
        n_ctx: longest prompt, if there is a limit.
        device: where it is.
    """

    name: str
    oracle: Oracle
    bridge: Callable[[], Any]
    tokenizer: Any | None
    vocab_size: int
    n_ctx: int | None
    device: torch.device


def from_bridge(
    name: str, bridge: Any, tokenizer: Any | None, device: torch.device, dtype: torch.dtype | None
) -> Source:
    """A bridge that is acdc's own to move."""
    bridge = bridge.to(device, print_details=False)
    bridge = (bridge if dtype is None else bridge.to(dtype, print_details=False)).eval()
    _freeze(bridge)

    def oracle(ids: Tensor) -> Tensor:
        forget_lengths(bridge)
        return bridge(ids)

    embedding = bridge.embed.original_component.weight
    return Source(name, oracle, lambda: bridge, tokenizer, embedding.shape[0], bridge.cfg.n_ctx, embedding.device)


def from_hugging_face(name: str, model: Any, tokenizer: Any | None) -> Source:
    """A Hugging Face model that is acdc's own to rewire, in place and in evaluation mode."""
    model.set_experts_implementation("eager")  # the others don't run in float64
    for config in (model.config, model.config.get_text_config()):
        config.return_dict = True  # how it hands on its logits, which is no part of the model

    def oracle(ids: Tensor) -> Tensor:
        forget_lengths(model)
        said = model(ids, use_cache=False)
        if not isinstance(getattr(said, "logits", None), Tensor):
            raise ModelError(f"{name} gives no logits; open it with its unembedding, as AutoModelForCausalLM does.")
        return said.logits

    def bridge() -> Any:
        from transformer_lens.model_bridge.sources import build_bridge_from_module

        try:
            with quiet():
                made = build_bridge_from_module(
                    model, type(model).__name__, hf_config=model.config, dtype=model.dtype, device=str(model.device)
                )
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise ModelError(
                f"TransformerLens can't open {name} ({type(model).__name__}): {first_line(error)}"
            ) from error
        _freeze(made)
        return made

    n_ctx = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if n_ctx is not None and (isinstance(n_ctx, bool) or not isinstance(n_ctx, int) or n_ctx < 1):
        raise ModelError(
            f"{name}: max_position_embeddings is {str(n_ctx)[:40]}, but must be at least 1; mend the config."
        )
    return Source(
        name,
        oracle,
        bridge,
        tokenizer,
        vocab_size=model.get_input_embeddings().weight.shape[0],
        n_ctx=n_ctx,
        device=model.device,
    )


def _freeze(bridge: Any) -> None:
    """Nothing trains here; autograd would only cost memory."""
    for parameter in bridge.parameters():
        parameter.requires_grad_(False)
