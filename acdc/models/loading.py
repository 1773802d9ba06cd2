"""Opening a model so that it can be trusted: load, turn into node functions, check."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from acdc.errors import AcdcError, AcdcWarning, MemoryLimitError, ModelError
from acdc.models.bridge import BridgeReader
from acdc.models.libraries import import_them, is_out_of_memory
from acdc.models.model import Model
from acdc.models.opening import find_source
from acdc.models.selfcheck import Probe, SelfCheck, probe_prompts, self_check
from acdc.models.threads import one_thread
from acdc.models.torchstate import own_torch_state
from acdc.wording import first_line


def load_model(
    model: str | Path | Any,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    tokenizer: Any | None = None,
) -> Model:
    """Open a model and check that its components add up to it.

        >>> load_model("tiny-tasks")
        Model('tiny-tasks', 4 layers of 8 heads, d_model 128, torch.float32)

    Args:
        model: a bundled model's name (``acdc models`` lists them), a hub name (``gpt2``,
            ``EleutherAI/pythia-70m``) or TransformerLens' alias of one, a Hugging Face
            folder, a folder of TransformerLens-named weights, a GGUF file of the Llama architecture, or a
            Hugging Face model or a TransformerBridge in memory (which is copied, without hooks, and left as it is).
        device: ``cpu``, ``cuda``, ``cuda:1`` ...; by default a GPU if there is one.
        dtype: ``float32`` (default; in memory: as it is), ``float64``, ``bfloat16`` or ``float16``.
        tokenizer: a Hugging Face tokenizer, where the model comes without one.

    Raises:
        UnknownNameError: no such model; the message has the nearest names.
        ModelError: files are missing, don't fit or hold what the model would not use; weights are
            quantised or an adapter isn't merged; TransformerLens can't open it, or it failed
            its self-check.
        SettingsError: the device can't be used.
        MemoryLimitError: it doesn't fit into memory.
    """
    return load_and_check(model, device=device, dtype=dtype, tokenizer=tokenizer)[0]


@one_thread()
def load_and_check(
    model: str | Path | Any,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    tokenizer: Any | None = None,
) -> tuple[Model, SelfCheck]:
    """Like :func:`load_model`, with what the self-check measured."""
    with memory_errors(), own_torch_state():
        return _load_and_check(model, device, dtype, tokenizer)


def _load_and_check(
    model: str | Path | Any,
    device: str | torch.device | None,
    dtype: str | torch.dtype | None,
    tokenizer: Any | None,
) -> tuple[Model, SelfCheck]:
    named = model if isinstance(model, str | Path) else f"a {type(model).__name__}"
    with _refusal(f"{named} can't be opened"):
        import_them()
        source = find_source(model, device, dtype, tokenizer)
    prompts = probe_prompts(source.vocab_size, source.n_ctx)
    with _refusal(f"{source.name} can't be run (another `dtype` may help)"), torch.no_grad():
        # The oracle speaks before the bridge is built: bridging rewires the model.
        said = [source.oracle(torch.tensor(pair, device=source.device)) for pair in prompts]  # [2, pos, n_outputs] each
    if any(bool(logits.isnan().any()) for logits in said):
        raise ModelError(
            f"{source.name} gives logits that are no numbers (NaN); its weights are damaged, or too large for "
            "their precision (another `dtype` may help)."
        )
    probes = [Probe(clean, corrupted, own[0], own[1]) for (clean, corrupted), own in zip(prompts, said, strict=True)]
    with _refusal(f"{source.name} can't be split into nodes: its components aren't those that acdc knows"):
        opened = Model(source.name, BridgeReader(source.bridge()), source.tokenizer)
        return opened, self_check(opened, probes)


@contextmanager
def _refusal(saying: str) -> Iterator[None]:
    """Turn what goes wrong inside a model into a :class:`ModelError`; such errors have many types."""
    try:
        yield
    except BaseException as error:
        # A panic of a library written in Rust is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if isinstance(error, AcdcError | AcdcWarning) or is_out_of_memory(error):
            raise
        raise ModelError(f"{saying}: {type(error).__name__}: {first_line(error)}") from error


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn running out of memory into a :class:`MemoryLimitError` that says what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryLimitError(
            "out of memory; lower `batch_size` or `n` (prompts), use shorter prompts, or open the model with "
            '`dtype="bfloat16"` (which runs on the slow reference engine).'
        ) from error
