"""Hugging Face models run with an activation replaced by hooks of torch: nothing of acdc's own computes here."""

from typing import NamedTuple

import torch

#: Where a layer's parts lie in each family: the layer, its attention's and MLP's last module, output projection, end.
_PATHS = {
    "gpt2": ("transformer.h.{}", "attn", "mlp", "attn.c_proj", "transformer.ln_f"),
    "llama": ("model.layers.{}", "self_attn", "mlp", "self_attn.o_proj", "model.norm"),
    "gpt-neox-parallel": ("gpt_neox.layers.{}", "attention", "mlp", "attention.dense", "gpt_neox.final_layer_norm"),
    "gemma2": ("model.layers.{}", "post_attention_layernorm", "post_feedforward_layernorm", None, "model.norm"),
}
FAMILIES = tuple(_PATHS)
#: Heads whose part can be told by hooks: no norm stands behind their sum.
WITH_HEADS = tuple(family for family, paths in _PATHS.items() if paths[3])
#: Those whose slots can: no key is shared.
WITH_SLOTS = ("gpt2", "gpt-neox-parallel")


class Place(NamedTuple):
    """Where an activation is seen: what a module gets or gives, and which columns of it."""

    module: torch.nn.Module
    is_input: bool
    columns: slice = slice(None)


def place(theirs, family, kind, layer, head=None):
    """Where an activation of acdc's names is in a model."""
    pattern, attention, mlp, projection, end = _PATHS[family]
    if kind == "residual":
        last = layer == theirs.config.num_hidden_layers
        return Place(theirs.get_submodule(end if last else pattern.format(layer)), True)
    block = theirs.get_submodule(pattern.format(layer))
    n_heads, width = theirs.config.num_attention_heads, theirs.config.hidden_size
    d_head = width // n_heads
    if kind == "heads":
        return Place(block.get_submodule(projection), True, slice(head * d_head, (head + 1) * d_head))
    if kind in "qkv":
        nth = "qkv".index(kind)
        if family == "gpt2":  # queries of all heads, then keys, then values
            start = nth * width + head * d_head
            return Place(block.get_submodule("attn.c_attn"), False, slice(start, start + d_head))
        start = (3 * head + nth) * d_head  # head by head
        return Place(block.get_submodule("attention.query_key_value"), False, slice(start, start + d_head))
    return Place(block.get_submodule(attention if kind == "attention" else mlp), False)


def run(theirs, ids, at=None, position=None, value=None):
    """Logits ``[pos, vocab]`` and what was seen at a place; with a value, that stands there at a position instead."""
    seen = []

    def replaced(tensor):
        seen.append(tensor[0, :, at.columns].clone())
        if value is None:
            return tensor
        tensor = tensor.clone()
        tensor[0, position, at.columns] = value
        return tensor

    def before(module, args, kwargs):
        if args:
            return (replaced(args[0]), *args[1:]), kwargs
        return args, kwargs | {"hidden_states": replaced(kwargs["hidden_states"])}

    def behind(module, args, output):
        return (replaced(output[0]), *output[1:]) if isinstance(output, tuple) else replaced(output)

    handle = None
    if at is not None:
        hook = at.module.register_forward_pre_hook if at.is_input else at.module.register_forward_hook
        handle = hook(before, with_kwargs=True) if at.is_input else hook(behind)
    try:
        with torch.no_grad():
            logits = theirs(torch.tensor([ids])).logits[0].double()
    finally:
        if handle is not None:
            handle.remove()
    return logits, seen[0] if seen else None
