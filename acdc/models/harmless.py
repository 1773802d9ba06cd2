"""Tensors that weight files hold and no model of today uses, each kind with the reason why it may be passed over.

Whatever is not in this list and not used by the model is refused. Imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

#: Where a name ends, the types and the number of dimensions that it has then, and why nothing is lost.
_BUFFERS: tuple[tuple[str, tuple[str, ...] | None, int | None, str], ...] = (
    (
        r"(^|\.)(attn|attention|self_attn|self_attention)(\.attention)?\.(bias|causal_mask)$",
        None,
        4,  # [1, 1, pos, pos]; a bias has one dimension
        "causal mask of older GPT-2, GPT-J, GPT-Neo and GPT-NeoX checkpoints; it is made anew",
    ),
    (
        r"(^|\.)(attn|attention|self_attn|self_attention)(\.attention)?\.masked_bias$",
        None,
        0,
        "the number that stands for minus infinity in a mask",
    ),
    (r"(^|\.)(rotary_emb|rotary|rotary_pos_emb)\.(original_)?inv_freq$", None, 1, "made anew from the configuration"),
    (r"(^|\.)(rotary_emb|rotary)\.(cos_cached|sin_cached)$", None, None, "made anew from the configuration"),
    (r"(^|\.)attn\.embed_positions$", None, 2, "GPT-J's rotation, made anew from the configuration"),
    (r"(^|\.)position_ids$", ("I64", "I32"), None, "0, 1, 2 and so on"),
    (r"^blocks\.\d+\.attn\.mask$", None, 2, "TransformerLens' causal mask; it is made anew"),
    (r"^blocks\.\d+\.attn\.IGNORE$", None, None, "TransformerLens' minus infinity"),
)
#: Modules that text never reaches.
_OTHER_SENSES = re.compile(
    r"(^|\.)(vision_tower|vision_model|visual|multi_modal_projector|audio_tower|embed_vision|embed_audio)\."
)
#: Drafts of further tokens, for faster sampling; the logits of the next token never read them.
_DRAFTS = re.compile(r"(^|\.)(mtp|mtp_layers)\.")
_LAYER = re.compile(r"(^|\.)(?:layers|h|blocks)\.(\d+)\.")


def why_harmless(name: str, dtype: str, shape: Sequence[int]) -> str | None:
    """Why an unused tensor changes nothing, or ``None`` where that isn't known.

    Args:
        name: its key in the weights file.
        dtype: as safetensors names it.
        shape: its shape.
    """
    for pattern, dtypes, n_dims, reason in _BUFFERS:
        fits = (dtypes is None or dtype in dtypes) and (n_dims is None or len(shape) == n_dims)
        if fits and re.search(pattern, name):
            return reason
    if _OTHER_SENSES.search(name):
        return "belongs to images or sound"
    if _DRAFTS.search(name):
        return "drafts further tokens, which is for sampling"
    return None


def layer_of(name: str) -> int | None:
    """Number of the layer that a tensor belongs to."""
    found = _LAYER.search(name)
    return None if found is None or len(found[2]) > 9 else int(found[2])


def is_draft_layer(name: str, config: Mapping[str, Any]) -> bool:
    """Whether a tensor belongs to a layer behind the last that only drafts further tokens, as the config says."""
    layer, drafts, layers = layer_of(name), config.get("num_nextn_predict_layers"), config.get("num_hidden_layers")
    if layer is None or not isinstance(drafts, int) or not isinstance(layers, int):
        return False
    return layers <= layer < layers + drafts
