"""The libraries below us, kept quiet."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator

import torch

from acdc.garbage import uncollected

#: What torch says on a CPU, where it raises a plain RuntimeError: on Linux, and on Windows.
_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars, notices and warnings off the user's screen.

    Around calls of theirs only: our own warnings would be lost as well.
    """
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    verbosity, bars, hub_verbosity = (
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
        hub_logging.get_verbosity(),
    )
    hub_bars = not are_progress_bars_disabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub_logging.set_verbosity(logging.CRITICAL)
    disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        if bars:
            logging.enable_progress_bar()
        if hub_bars:
            enable_progress_bars()


def import_them() -> None:
    """Import what every model is opened with: it takes seconds, and longer where garbage is looked for meanwhile."""
    with uncollected(), quiet():
        for name in ("transformer_lens.model_bridge.sources", "transformers.modeling_utils"):
            importlib.import_module(name)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on whatever device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(saying in str(error) for saying in _OUT_OF_MEMORY)
