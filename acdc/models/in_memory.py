"""Models that a caller holds: copied, so that theirs stay as they are."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, MutableMapping
from typing import Any

import torch
from torch import nn

from acdc.errors import ModelError, warn
from acdc.models.harmless import layer_of
from acdc.models.leftovers import ADAPTER
from acdc.models.libraries import is_out_of_memory, quiet
from acdc.models.source import Source, from_bridge, from_hugging_face
from acdc.wording import counted, first_line, some

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
#: Libraries whose own hooks are part of what their models compute.
_OWN = ("transformers", "transformer_lens")
#: Where modules come from whose weights are packed, so that they show no parameters.
_QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "bitsandbytes", "torchao", "auto_gptq", "awq")


def open_in_memory(model: Any, device: torch.device, dtype: torch.dtype | None, tokenizer: Any | None) -> Source:
    """Open a copy of a Hugging Face model or of a bridge.

    The copy is in evaluation mode, moved, without hooks and without gradients; the model
    given is not touched.

    Args:
        model: the model.
        device: where to put the copy.
        dtype: its precision; by default as it is.
        tokenizer: in place of the bridge's.

    Raises:
        ModelError: it is something else, or not a plain model: quantised, with an adapter, of
            several precisions, or without values.
    """
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedModel

    if isinstance(model, TransformerBridge):
        name = "a bridge in memory"
    elif isinstance(model, PreTrainedModel):
        name = f"a {type(model).__name__} in memory"
    else:
        raise ModelError(
            f"a {type(model).__name__} can't be opened; give a name, a folder, a Hugging Face model or "
            f"a TransformerBridge{_wrapped(model)}."
        )
    _check_plain(name, model)
    _check_precision(name, model, dtype)
    own = _copied(name, model)
    _drop_hooks(name, own)
    if isinstance(model, TransformerBridge):
        return from_bridge(name, own, tokenizer or model.tokenizer, device, dtype)
    if hasattr(own, "set_attn_implementation"):
        with quiet():
            own.set_attn_implementation("eager")
    own = own.to(device=device, dtype=dtype or own.dtype).eval()
    return from_hugging_face(name, own, tokenizer)


def _wrapped(model: Any) -> str:
    """The way out where a model is inside something else."""
    if type(model).__module__.partition(".")[0] == "peft" or hasattr(model, "peft_config"):
        return "; merge the adapter first (merge_and_unload)"
    if hasattr(model, "_orig_mod"):
        return "; give the model as it was before torch.compile"
    if isinstance(getattr(model, "module", None), nn.Module):
        return "; give the model inside it (module)"
    return ""


def _check_plain(name: str, model: nn.Module) -> None:
    """Refuse what can't be the model that its configuration describes."""
    config = getattr(model, "config", None) or getattr(getattr(model, "original_model", None), "config", None)
    tensors = dict(model.named_parameters())
    packed = [key for key, tensor in tensors.items() if not tensor.is_floating_point()]
    packed += [key for key, tensor in tensors.items() if type(tensor.data) is not torch.Tensor and key not in packed]
    packed += [key for key, module in model.named_modules() if type(module).__module__.startswith(_QUANTISED)]
    if packed or getattr(config, "quantization_config", None) or getattr(model, "is_quantized", False):
        where = f" ({some(packed)})" if packed else ""
        raise ModelError(f"{name} is quantised{where}; dequantise it first.")
    adapted = [key for key in tensors if ADAPTER.search(key)]
    if adapted or getattr(model, "_hf_peft_config_loaded", False):
        where = f" ({some(adapted)})" if adapted else ""
        raise ModelError(f"{name} has an adapter in it{where}; merge the adapter first.")
    if empty := [key for key, tensor in tensors.items() if tensor.device.type == "meta"]:
        raise ModelError(
            f"{name} has weights without values ({some(empty)}, on the meta device); load all of them first."
        )
    keys = [key for key, _ in model.named_parameters(remove_duplicate=False)]
    layers, said = {layer for key in keys if (layer := layer_of(key)) is not None}, _n_layers(config)
    if layers and said is not None and len(layers) < said:
        raise ModelError(
            f"{name} has {counted(len(layers), 'layer')}, and its config says {said}; set its num_hidden_layers "
            "where some were taken out."
        )


def _n_layers(config: Any) -> int | None:
    """How many layers a configuration of one stack of them says that there are."""
    said = None if getattr(config, "is_encoder_decoder", False) else getattr(config, "num_hidden_layers", None)
    return said if isinstance(said, int) else None


def _copied(name: str, model: nn.Module) -> Any:
    try:
        with quiet():
            return copy.deepcopy(model)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"{name} can't be copied ({first_line(error).rstrip('.')}); make its weights plain parameters first, "
            "e.g. by prune.remove where it was pruned."
        ) from error


def _check_precision(name: str, model: nn.Module, dtype: torch.dtype | None) -> None:
    """Refuse to choose one of several precisions in silence."""
    found = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in model.parameters()})
    if dtype is None and len(found) > 1:
        raise ModelError(f"{name} has weights in {some(found)}; give the `dtype` in which to open it.")


def _drop_hooks(name: str, model: nn.Module) -> None:
    """Take a caller's hooks off a copy, and methods that were put in place of its own, and say so.

    They would be left out of the nodes, and what they refer to is the caller's model, not the copy.
    """
    dropped = 0
    if hasattr(model, "hook_dict"):
        bridge: Any = model
        points = {id(point): point for point in bridge.hook_dict.values()}
        dropped += sum(len(point.fwd_hooks) + len(point.bwd_hooks) for point in points.values())
        bridge.reset_hooks(including_permanent=True)
    for hooks in _hooks_of(model):
        for key, hook in list(hooks.items()):
            if _home(hook) not in _OWN:
                del hooks[key]
                dropped += 1
    for module in model.modules():
        if "forward" in vars(module) and _home(vars(module)["forward"]) not in _OWN:
            del module.forward
            dropped += 1
    if dropped:
        what = f"{name} has hooks or patched methods on it ({dropped})"
        warn(f"{what}; what they do is not part of the model that is opened.")


def _hooks_of(model: nn.Module) -> Iterator[MutableMapping[int, Any]]:
    for module in model.modules():
        for kind in _HOOKS:
            yield getattr(module, kind)


def _home(hook: Any) -> str:
    """The library that a hook or a method comes from, whatever it says of itself (``functools.wraps`` copies names)."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    function = getattr(hook, "__func__", hook)
    where = getattr(function, "__globals__", {}).get("__name__") or type(function).__module__
    return str(where).partition(".")[0]
