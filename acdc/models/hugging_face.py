"""Opening Hugging Face folders: the weights that are there, all of them, and nothing else.

The library is never given the folder's weights to find: what it loads is what
:func:`read_checkpoint` found and checked, tensor by tensor, so that it can be told which
tensors it used. It hides some of what it leaves out, and what it hides can be another model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from acdc.errors import ModelError
from acdc.models.bounds import bounded, check_counts
from acdc.models.checkpoint import Checkpoint, read_checkpoint, read_json
from acdc.models.folder import check_adapter, check_config, warn_of_unused
from acdc.models.ignored import warn_of_ignored, warn_of_other_kind
from acdc.models.leftovers import why_refused
from acdc.models.libraries import is_out_of_memory, quiet
from acdc.models.source import Source, from_hugging_face
from acdc.models.tokenizers import check_tokenizer_files, tokenizer_of
from acdc.models.watched import check_amount, check_ties, differing_buffers, opened, unused_tensors
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
    tokenizer = tokenizer_of(folder) if tokenizer is None else tokenizer
    return from_hugging_face(name, model.to(device).eval(), tokenizer)


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
        with opened(checkpoint) as watched:
            model, report = type(planned).from_pretrained(
                None,
                config=planned.config,
                state_dict=watched,
                dtype=dtype,
                attn_implementation="eager",
                ignore_mismatched_sizes=True,  # so that the report names them
                output_loading_info=True,
            )
            differing = differing_buffers(checkpoint, watched, model)
        model.config.name_or_path = str(folder)
    warn_of_ignored(name, config, asked)
    warn_of_other_kind(name, config, model)
    if unused := unused_tensors(checkpoint, watched, config):
        raise ModelError(f"{name}: {why_refused(unused, model.config)}")
    for what, problem in (("missing_keys", "lack"), ("mismatched_keys", "have the wrong shape for")):
        if report.get(what):
            keys = sorted(str(key[0] if isinstance(key, tuple) else key) for key in report[what])
            raise ModelError(f"{name}: the weights {problem} {keys[0]} ({len(keys)} in all); check the files.")
    if differing:
        raise ModelError(
            f"{name}: {some(differing)} of the weights {'differs' if len(differing) == 1 else 'differ'} from what "
            "config.json makes of it, so they are of another model than it says; check the config."
        )
    check_ties(name, planned, model)
    check_amount(name, checkpoint, watched, model)
    return model


@contextlib.contextmanager
def _refusal(name: str) -> Iterator[None]:
    """Turn what the library says of a model that it can't load into a sentence."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ModelError) or is_out_of_memory(error):
            raise
        raise ModelError(f"{name} can't be loaded: {first_line(error)}") from error
