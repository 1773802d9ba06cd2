"""Fields of a Hugging Face configuration that its kind of model doesn't follow.

The library takes any field and keeps it, so that a Llama with a sliding window is one
without. Configurations carry much that means nothing; here are the fields that would change
what is computed. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acdc.errors import warn
from acdc.wording import some

_COMPUTING = (
    "sliding_window",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "query_pre_attn_scalar",
    "logit_scale",
    "logits_scaling",
    "residual_multiplier",
    "embedding_multiplier",
    "attention_multiplier",
    "attention_bias",
    "mlp_bias",
    "use_qk_norm",
    "qk_layernorm",
    "alibi",
    "use_parallel_residual",
    "scale_attn_by_inverse_layer_idx",
    "no_rope_layers",
)


def warn_of_ignored(name: str, config: Mapping[str, Any], read: Any) -> None:
    """Warn of fields that are set and that the model's kind doesn't know.

    Args:
        name: of the model.
        config: the JSON of ``config.json``.
        read: what the library made of it.
    """
    try:
        known = type(read)()
    except Exception:  # some kinds can't be made without fields
        return
    on = [field for field in _COMPUTING if _is_on(config.get(field)) and not hasattr(known, field)]
    if config.get("use_sliding_window") is False:
        on = [field for field in on if field != "sliding_window"]
    rotary, base = getattr(read, "rope_parameters", None), config.get("rope_theta")
    followed = rotary.get("rope_theta") if isinstance(rotary, Mapping) else None
    if isinstance(base, int | float) and isinstance(followed, int | float) and followed != base:
        warn(
            f"{name}: config.json sets rope_theta to {base:g}, but the model follows the {followed:g} of its "
            "rope_parameters; keep the one that is meant."
        )
    if on:
        said = f"{name}: config.json sets {some(on)}, which a {read.model_type} model doesn't follow."
        warn(said)


def warn_of_other_kind(name: str, config: Mapping[str, Any], model: Any) -> None:
    """Warn where ``config.json`` names other code than what runs the weights, such as a repository's own.

    Args:
        name: of the model.
        config: the JSON of ``config.json``.
        model: what was loaded.
    """
    named, own = config.get("architectures"), type(model).__name__
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
        return
    family = type(model.base_model).__name__.removesuffix("Model").removesuffix("Text").lower()  # heads may differ
    said = config.get("auto_map")
    brings_code = isinstance(said, Mapping) and any(str(key).startswith("AutoModel") for key in said)
    expected = own.lower() if brings_code else family
    if named and not any(one.lower().startswith(expected) for one in named):
        warn(
            f"{name}: config.json says that it is a {some(named)}"
            f"{', with code of its own that is never run' if brings_code else ''}; it is opened as a {own}."
        )


def _is_on(value: Any) -> bool:
    """Whether a field's value does anything: a factor of 1 and a bound of 0 don't."""
    return value is True or (value is not None and value not in (False, 0, 1, [], {}))
