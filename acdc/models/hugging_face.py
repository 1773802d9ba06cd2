"""Opening Hugging Face folders: the weights that are there, all of them, and nothing else.

The library is never given the folder's weights to find: what it loads is what
:func:`read_checkpoint` found and checked, tensor by tensor, so that it can be told which
tensors it used. It hides some of what it leaves out, and what it hides can be another model.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acdc.errors import ModelError
from acdc.models.bounds import bounded, check_counts
from acdc.models.checkpoint import Checkpoint, read_checkpoint, read_json
from acdc.models.folder import check_adapter, check_config, warn_of_unused
from acdc.models.harmless import is_draft_layer, why_harmless
from acdc.models.ignored import warn_of_ignored
from acdc.models.leftovers import why_refused
from acdc.models.libraries import is_out_of_memory, quiet
from acdc.models.source import Source, from_hugging_face
from acdc.models.tokenizers import check_tokenizer_files, has_tokenizer, load_tokenizer
from acdc.wording import first_line, some


def open_folder(
    name: str, folder: Path, device: torch.device, dtype: torch.dtype | None, tokenizer: Any | None
) -> Source:
    """Open a folder in Hugging Face's format.

    Args:
        name: what the model is called.
        folder: where it lies.
        device: where to put it.
        dtype: by default float32.
        tokenizer: in place of the folder's.

    Raises:
        ModelError: files are missing, broken or don't fit each other, or hold more than the model uses.
    """
    check_adapter(folder)
    if not (folder / "config.json").exists():
        raise ModelError(f"{folder} is not a model: it has no config.json.")
    config = read_json(folder / "config.json")
    check_config(folder, config)
    checkpoint = read_checkpoint(folder)
    warn_of_unused(checkpoint)
    check_counts(str(folder / "config.json"), config, len(checkpoint.tensors), checkpoint.n_elements)
    check_tokenizer_files(folder)
    model = _load(name, folder, config, checkpoint, dtype or torch.float32)
    if tokenizer is None and has_tokenizer(folder):
        tokenizer = load_tokenizer(str(folder))
    return from_hugging_face(name, model.to(device).eval(), tokenizer)


class _Watched:
    """A tensor of a file that is read when the library takes it, and remembers that it was."""

    def __init__(self, stored: Any) -> None:
        self.stored = stored
        self.used = False

    def get_shape(self) -> list[int]:
        return self.stored.get_shape()

    def get_dtype(self) -> str:
        return self.stored.get_dtype()

    def __getitem__(self, index: Any) -> Tensor:
        self.used = True
        return self.stored[index]


def _load(name: str, folder: Path, config: Mapping[str, Any], checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """The model of a folder, every tensor of its files used or known to be harmless."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with _refusal(name), quiet():
        asked = AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
        size = len(checkpoint.tensors), checkpoint.n_elements
        with bounded(str(folder / "config.json"), *size), torch.device("meta"):
            planned = AutoModelForCausalLM.from_config(
                asked, dtype=dtype, attn_implementation="eager", trust_remote_code=False
            )
        with _opened(checkpoint) as watched:
            model, report = type(planned).from_pretrained(
                None,
                config=planned.config,
                state_dict=watched,
                dtype=dtype,
                attn_implementation="eager",
                ignore_mismatched_sizes=True,  # so that the report names them
                output_loading_info=True,
            )
            differing = _differing_buffers(checkpoint, watched, model)
        model.config.name_or_path = str(folder)
    warn_of_ignored(name, config, asked)
    for what, problem in (("missing_keys", "lack"), ("mismatched_keys", "have the wrong shape for")):
        if report.get(what):
            keys = sorted(str(key[0] if isinstance(key, tuple) else key) for key in report[what])
            raise ModelError(f"{name}: the weights {problem} {keys[0]} ({len(keys)} in all); check the files.")
    unused = [
        key
        for key, tensor in watched.items()
        if not tensor.used
        and why_harmless(key, checkpoint.tensors[key].dtype, checkpoint.tensors[key].shape) is None
        and not is_draft_layer(key, config)
    ]
    if unused:
        raise ModelError(f"{name}: {why_refused(sorted(unused), model.config)}")
    if differing:
        raise ModelError(
            f"{name}: {some(differing)} of the weights {'differs' if len(differing) == 1 else 'differ'} from what "
            "config.json makes of it, so they are of another model than it says; check the config."
        )
    _check_ties(name, planned, model)
    _check_amount(name, checkpoint, watched, model)
    return model


def _differing_buffers(checkpoint: Checkpoint, watched: Mapping[str, _Watched], model: Any) -> list[str]:
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


@contextlib.contextmanager
def _opened(checkpoint: Checkpoint) -> Iterator[dict[str, _Watched]]:
    """All tensors of the weight files, to be read when they are taken."""
    from safetensors import safe_open

    with contextlib.ExitStack() as stack:
        files = {file: stack.enter_context(safe_open(file, framework="pt")) for file in checkpoint.files}
        yield {key: _Watched(files[tensor.file].get_slice(key)) for key, tensor in checkpoint.tensors.items()}


@contextlib.contextmanager
def _refusal(name: str) -> Iterator[None]:
    """Turn what the library says of a model that it can't load into a sentence."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ModelError) or is_out_of_memory(error):
            raise
        raise ModelError(f"{name} can't be loaded: {first_line(error)}") from error


def _check_ties(name: str, planned: Any, model: Any) -> None:
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


def _check_amount(name: str, checkpoint: Checkpoint, watched: Mapping[str, _Watched], model: Any) -> None:
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
