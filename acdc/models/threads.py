"""How many threads torch computes with.

Its own choice, a thread a core, suits large models on an idle machine. Work on a small
one is cut into parts of microseconds, and every part then waits for the slowest thread: on
a machine that does something else besides, that takes two to twenty times as long as one
thread.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from acdc import machine
from acdc.asked import shown
from acdc.errors import SettingsError
from acdc.models.model import Model
from acdc.pairs import PromptSet

#: Products of a block on all prompts, for each thread. Measured with random GPT-2s of a width of 128 to 768 and 100 to
#: 800 tokens on the fast engine: on a busy machine a second thread made runs of up to 2.5e9 products 1.4 to 50 times
#: slower; opening a model took ten times as long.
WORK_A_THREAD = 2_000_000_000
_MOST = 256
# Whoever set one of these has chosen; torch reads them when it is imported.
_CHOSEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def own_threads() -> Iterator[None]:
    """Put torch's number of threads back at the end."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread, unless the environment says how many: for a few tokens, whatever the model."""
    with own_threads():
        if not _is_chosen():
            torch.set_num_threads(1)
        yield


def set_threads(threads: int | None) -> None:
    """Let torch compute with so many threads; with ``None``, leave it.

    Raises:
        SettingsError: that is no number of threads.
    """
    if threads is None:
        return
    try:
        number = operator.index(threads)
    except TypeError:
        number = 0
    if isinstance(threads, bool) or not 1 <= number <= _MOST:
        raise SettingsError(f"`threads` must be a whole number from 1 to {_MOST}, not {shown(threads)}.")
    torch.set_num_threads(number)


def share_cores(processes: int) -> None:
    """Let torch compute with this process' share of the cores beside others, unless the environment says how many."""
    if not _is_chosen():
        torch.set_num_threads(max(1, min(torch.get_num_threads(), machine.cores() // processes)))


def fit_threads(model: Model, prompts: PromptSet) -> int:
    """Let torch compute with as many threads as suit a model on its prompts.

    One for a small model, and never more than torch had: that is the machine's physical
    cores, or what ``OMP_NUM_THREADS`` says, which is then kept whatever the model.

    Returns:
        The number.
    """
    if not _is_chosen():
        tokens = sum(len(pair.clean) for pair in prompts.pairs)
        torch.set_num_threads(threads_for(tokens * block_weights(model), min(torch.get_num_threads(), machine.cores())))
    return torch.get_num_threads()


def threads_for(work: int, cores: int) -> int:
    """How many threads suit so many products in a block, on so many cores."""
    return max(1, min(work // WORK_A_THREAD, cores))


def block_weights(model: Model) -> int:
    """About how many weights a block multiplies each token by: four square matrices, and the MLP's."""
    width = model.graph_config.d_model
    inner, products = model.mlp_products
    return width * (4 * width + products * inner)


def _is_chosen() -> bool:
    return any(os.environ.get(name) for name in _CHOSEN)
