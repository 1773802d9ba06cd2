"""Finding and opening a model: by hub name, folder, bundled name, or in memory.

Weights come from safetensors files only; code from a model's repository is never run.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from acdc.bundled import bundled_models
from acdc.errors import ModelError, SettingsError, UnknownNameError
from acdc.models.positions import forget_lengths
from acdc.models.toy import first_line, is_toy_folder, open_toy_folder

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}
#: What torch says on a CPU, where it raises a plain RuntimeError: on Linux, and on Windows.
_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")

#: Gives the model's own logits, ``[1, pos]`` ids to ``[1, pos, n_outputs]``.
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


def find_source(model: Any, device: str | None, dtype: str | None, tokenizer: Any | None) -> Source:
    """Load whatever the user named; see :func:`acdc.load_model`."""
    place, precision = _device(device), _dtype(dtype)
    with _quiet():
        if not isinstance(model, str | Path):
            return _in_memory(model, place, precision, tokenizer)
        name = str(model).rstrip("/") or str(model)
        if not name:
            raise ModelError("the model's name is empty; give a bundled name, a hub name or a folder.")
        if name in (bundled := bundled_models()):
            return _hugging_face(name, str(bundled[name]), place, precision, tokenizer)
        if (folder := _folder(name)) is not None:
            if is_toy_folder(folder):
                return _toy(name, folder, place, precision, tokenizer)
            _check_folder(folder)
            return _hugging_face(name, str(folder), place, precision, tokenizer)
        return _hub(name, place, precision, tokenizer)


def _folder(name: str) -> Path | None:
    """The folder of that name, if it is one."""
    try:
        folder = Path(name).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError):  # a name that the system doesn't take, or ~ of no known user
        return None


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # some devices hold no values
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"device {name!r} can't be used ({first_line(error)}); devices are cpu, cuda, cuda:1 and so on."
        ) from error
    return device


def _dtype(name: str | None) -> torch.dtype | None:
    if name is None:
        return None
    if name not in DTYPES:
        raise UnknownNameError("dtype", name, DTYPES)
    return DTYPES[name]


def _in_memory(model: Any, device: torch.device, dtype: torch.dtype | None, tokenizer: Any | None) -> Source:
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedModel

    if isinstance(model, TransformerBridge):
        return _bridged("a bridge in memory", _moved(model, device, dtype), tokenizer or model.tokenizer)
    if isinstance(model, PreTrainedModel):
        own = copy.deepcopy(model)  # bridging rewires the modules; the caller's model stays as it is
        if hasattr(own, "set_attn_implementation"):
            own.set_attn_implementation("eager")
        own.set_experts_implementation("eager")  # the others don't run in float64
        own = own.to(device=device, dtype=dtype or own.dtype).eval()
        return _bridgeable(f"a {type(model).__name__} in memory", own, tokenizer)
    raise ModelError(
        f"a {type(model).__name__} can't be opened; give a name, a folder, a Hugging Face model or a TransformerBridge."
    )


def _toy(name: str, folder: Path, device: torch.device, dtype: torch.dtype | None, tokenizer: Any | None) -> Source:
    return _bridged(name, _moved(open_toy_folder(folder), device, dtype or torch.float32), tokenizer)


def _moved(bridge: Any, device: torch.device, dtype: torch.dtype | None) -> Any:
    bridge = bridge.to(device, print_details=False)
    return (bridge if dtype is None else bridge.to(dtype, print_details=False)).eval()


def _bridged(name: str, bridge: Any, tokenizer: Any | None) -> Source:
    def oracle(ids: Tensor) -> Tensor:
        forget_lengths(bridge)
        return bridge(ids)

    embedding = bridge.embed.original_component.weight
    return Source(name, oracle, lambda: bridge, tokenizer, embedding.shape[0], bridge.cfg.n_ctx, embedding.device)


def _hub(name: str, device: torch.device, dtype: torch.dtype | None, tokenizer: Any | None) -> Source:
    from transformer_lens.supported_models import MODEL_ALIASES, OFFICIAL_MODEL_NAMES, get_official_model_name

    if name.startswith((".", "~", os.sep)) or name.count("/") > 1:
        raise ModelError(f"{name}: there is no such folder.")
    aliases = [alias for names in MODEL_ALIASES.values() for alias in names]
    with contextlib.suppress(ValueError):
        return _hugging_face(name, get_official_model_name(name), device, dtype, tokenizer)
    if "/" not in name:  # a hub name without an owner is one of the few old ones, all of them known
        raise UnknownNameError("model", name, [*bundled_models(), *OFFICIAL_MODEL_NAMES, *aliases])
    return _hugging_face(name, name, device, dtype, tokenizer)


def _hugging_face(
    name: str, location: str, device: torch.device, dtype: torch.dtype | None, tokenizer: Any | None
) -> Source:
    from transformers import AutoModelForCausalLM

    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            location,
            dtype=dtype or torch.float32,
            attn_implementation="eager",
            experts_implementation="eager",  # the others don't run in float64
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # so that the report names them
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:
        if is_out_of_memory(error):
            raise
        hint = "" if Path(location).is_dir() else " Give a local folder, or check the name and the network."
        raise ModelError(f"{name} can't be loaded: {first_line(error)}{hint}") from error
    for what in ("missing_keys", "mismatched_keys"):
        if report.get(what):
            keys = sorted(str(key[0] if isinstance(key, tuple) else key) for key in report[what])
            problem = "lack" if what == "missing_keys" else "have the wrong shape for"
            raise ModelError(f"{name}: the weights {problem} {keys[0]} ({len(keys)} in all); check the files.")
    if tokenizer is None and _may_have_tokenizer(Path(location)):
        tokenizer = load_tokenizer(location)
    return _bridgeable(name, model.to(device).eval(), tokenizer)


def load_tokenizer(location: str) -> Any:
    """The tokenizer of a hub model or in a folder. Raises :class:`ModelError`."""
    from transformers import AutoTokenizer

    try:
        with _quiet():
            return AutoTokenizer.from_pretrained(location, trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"{location}: no tokenizer can be loaded from there: {first_line(error)}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on whatever device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(saying in str(error) for saying in _OUT_OF_MEMORY)


def _may_have_tokenizer(location: Path) -> bool:
    """Whether a hub name or a folder can hold a tokenizer; without its files, a default one would be made up."""
    return not location.is_dir() or any((location / name).is_file() for name in _TOKENIZER_FILES)


def _bridgeable(name: str, model: Any, tokenizer: Any | None) -> Source:
    """A Hugging Face model that is acdc's own to rewire."""

    def oracle(ids: Tensor) -> Tensor:
        forget_lengths(model)
        return model(ids, use_cache=False).logits

    def bridge() -> Any:
        from transformer_lens.model_bridge.sources import build_bridge_from_module

        try:
            with _quiet():
                made = build_bridge_from_module(
                    model, type(model).__name__, hf_config=model.config, dtype=model.dtype, device=str(model.device)
                )
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise ModelError(
                f"TransformerLens can't open {name} ({type(model).__name__}): {first_line(error)}"
            ) from error
        for parameter in made.parameters():  # nothing trains here; autograd would only cost memory
            parameter.requires_grad_(False)
        return made

    text_config = model.config.get_text_config()
    return Source(
        name,
        oracle,
        bridge,
        tokenizer,
        vocab_size=model.get_input_embeddings().weight.shape[0],
        n_ctx=getattr(text_config, "max_position_embeddings", None),
        device=model.device,
    )


def _check_folder(folder: Path) -> None:
    """Say what a Hugging Face folder lacks before the loader says it in its own words."""
    config = folder / "config.json"
    if not config.is_file():
        raise ModelError(f"{folder} is not a model: it has no config.json.")
    try:
        json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{config} can't be read: {first_line(error)}") from error
    if not any(folder.glob("*.safetensors")):
        others = sorted(path.name for path in folder.glob("*.bin"))
        hint = f"; convert {others[0]} to safetensors" if others else ""
        raise ModelError(f"{folder} is not a whole model: it has no .safetensors weights{hint}.")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and notices off the user's screen."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    verbosity, bars, hub_verbosity = (
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
        hub_logging.get_verbosity(),
    )
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub_logging.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        if bars:
            logging.enable_progress_bar()
