"""Parts of models that acdc doesn't split into nodes, by name.

The self-check finds whatever is read wrongly; here is what can be named beforehand, told by
what a module has and not by its class.
"""

from __future__ import annotations

from typing import Any

from acdc.errors import ModelError


def check_parts(bridge: Any) -> None:
    """Raise :class:`ModelError` for a model with a part that acdc is known not to know.

    Args:
        bridge: the TransformerLens bridge.
    """
    found = _unknown_part(bridge)
    if found is not None:
        name = type(bridge.original_model).__name__
        raise ModelError(f"{name} has {found}, which acdc doesn't split into nodes; it can't open this model.")


def _unknown_part(bridge: Any) -> str | None:
    for layer, block in enumerate(bridge.blocks):
        own = getattr(block, "original_component", None)
        attention = getattr(block._modules.get("attn"), "original_component", None)
        if attention is None:
            mixers = [name for name, _ in own.named_children() if "norm" not in name and name != "mlp"] if own else []
            return f"a layer without attention (layer {layer}: {', '.join(mixers) or 'a mixer of its own'})"
        for name, child in attention.named_children():
            if "gate" in name or name == "g_proj":
                return f"gated attention (layer {layer}, {name})"
            if "sub_norm" in name or "inner_norm" in name:
                return f"a norm between its heads and their output projection (layer {layer}, {name})"
            if hasattr(child, "num_experts"):
                return f"experts in its attention (layer {layer}, {name})"
        if getattr(bridge.cfg, "gated_q_proj", False):
            return f"gated attention (layer {layer}, in its query projection)"
        if getattr(own, "do_layer_norm_before", True) is False:
            return f"a post-norm residual stream (layer {layer}: norms stand behind the sums)"
        if getattr(own, "apply_residual_connection_post_layernorm", False) is True:
            return f"a post-norm residual stream (layer {layer}: what is added to is normed)"
    if hasattr(bridge.original_model, "altup_projections"):
        return "several residual streams (AltUp)"
    return None
