"""Weights that a model has no place for: what they mean, and the way out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from acdc.models.harmless import layer_of
from acdc.wording import counted, some

ADAPTER = re.compile(r"(^|[._])(lora_[A-Za-z]\w*|base_layer|ia3_l|hada_w\d\w*|vera_lambda_\w+|lora)(\.|$)")
_SCALE = re.compile(
    r"(scale|scales|scale_inv|zero_point|zeros|qzeros|g_idx|absmax|quant_map|quant_state\w*|SCB|packed)$"
)


def why_never_used(names: Sequence[str]) -> str | None:
    """What is wrong with weights of which some no model uses: an adapter's, or scales. ``None`` if there are none."""
    listed = f"{some(names)} ({counted(len(names), 'tensor')} in all)"
    if any(ADAPTER.search(name) for name in names):
        return f"an adapter lies beside the weights: {listed}; merge the adapter into the model and save that."
    if any(_SCALE.search(name) for name in names):
        return f"scales of quantised weights would be left out: {listed}; dequantise the model first."
    return None


def why_refused(names: Sequence[str], config: Any) -> str:
    """What is wrong with weights that the model doesn't use, as the end of a sentence.

    Args:
        names: the unused tensors.
        config: the model's Hugging Face configuration.
    """
    listed = f"{some(names)} ({counted(len(names), 'tensor')} in all)"
    if (known := why_never_used(names)) is not None:
        return known
    layers = getattr(config.get_text_config(), "num_hidden_layers", None)
    deepest = max((layer_of(name) or 0 for name in names), default=0)
    if isinstance(layers, int) and deepest >= layers:
        return (
            f"the weights have {deepest + 1} layers, but config.json says {layers}, so {listed} would be left out; "
            "mend the config."
        )
    if all(name.endswith("bias") for name in names):
        return f"the weights have biases that config.json doesn't announce: {listed}; mend the config."
    return (
        f"the model has no place for {listed} of the weights; check config.json, or remove them if nothing needs them."
    )
