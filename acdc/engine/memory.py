"""How much memory a run will need, before it begins."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from acdc.engine.fast.cost import BATCH_BYTES, machine_kind
from acdc.engine.fast.mlps import BLOCK_ROWS
from acdc.engine.fast.places import live_positions
from acdc.engine.fast.scores import LIKELIEST
from acdc.engine.fast.tactics import Tactics
from acdc.models.model import Model
from acdc.pairs import PromptSet

#: What a process that has opened a model still takes for code and small things, in bytes.
_SLACK = 256 * 2**20
#: Contributions that take no more, in bytes, are computed once and kept; to compute larger ones in
#: chunks a few times costs little beside the run that they are for.
_KEPT_BYTES = 512 * 2**20
#: Where Linux says what is free.
_MEMORY_INFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class MemoryEstimate:
    """What a run allocates beside the model that is open already, in bytes.

    Attributes:
        usual: where the circuit leaves most slots with what they read when everything is ablated.
        at_most: where hardly an edge goes.
    """

    usual: int
    at_most: int


#: Share of the slots that are read anew behind a change in a usual run.
_USUAL_SHARE = 0.25


def memory_estimate(
    model: Model,
    prompts: PromptSet,
    *,
    ablation: str = "corrupted",
    engine: str = "fast",
    order: str = "default",
    batch_size: int | None = None,
) -> MemoryEstimate:
    """How much memory a run takes.

    What grows with the prompts are contributions, ``[n_sources, prompt, pos, d_model]``: of
    the prompts that are run together, the clean and the ablated ones; and in the fast engine
    their differences, of all prompts, at the positions that matter.

    Args:
        model: the model.
        prompts: the prompts.
        ablation: what removed edges carry.
        engine: ``fast`` or ``reference``.
        order: ``attribution`` needs gradients as well.
        batch_size: prompts that are run together; by default all.
    """
    cfg, element = model.graph_config, model.attention[0].W_Q.element_size()
    length = max(len(pair.clean) for pair in prompts.pairs)
    together = min(batch_size or len(prompts), len(prompts)) * length  # tokens
    predictions = sum(len(pair.answer_positions) for pair in prompts.pairs)
    n_sources = _n_sources(model)
    stream = cfg.d_model * element  # of one place
    contributions = n_sources * together * stream
    inputs_of_a_layer = 3 * cfg.n_heads * together * stream
    patched_run = contributions + 3 * inputs_of_a_layer + cfg.n_heads * together * length * 4
    fixed = _SLACK + 9 * predictions * model.n_outputs * 8
    gradients = 0
    if order == "attribution":  # what each head's norms and projections hold for the way back
        gradients = 2 * contributions + 10 * cfg.n_layers * inputs_of_a_layer
    # The clean values are held while the corrupted prompts run, the ablated ones while circuits do.
    needed = fixed + contributions + patched_run + gradients
    if engine == "reference":
        return MemoryEstimate(needed, needed)
    live = sum(len(found) for found in live_positions(model, prompts, ablation, Tactics()))
    fixed += 2 * predictions * cfg.d_model * LIKELIEST * 8  # columns of the unembedding, and of a product with it
    own, caches = _weights(model, live), _caches(model, live, len(prompts) * length)
    differences = n_sources * (live + predictions) * stream
    held = contributions if together == len(prompts) * length else 0
    slots = cfg.n_layers * (3 * cfg.n_heads + 1) * live * stream  # what all slots read
    batch = BATCH_BYTES[machine_kind(model.device)]

    def with_share(share: float) -> int:
        # Two batches' inputs are held at a time, and the changes of one.
        batches = 2 * max(batch, int(share * slots)) + int(share * n_sources * live * stream)
        running = caches + int(share * slots) + max(contributions + patched_run, held + batches)
        return fixed + own + differences + max(contributions + patched_run + gradients + caches, running)

    return MemoryEstimate(with_share(_USUAL_SHARE), with_share(1.0))


def _weights(model: Model, live: int) -> int:
    """Copies of weights that the fast engine makes, in bytes (folded, contiguous, products), and its MLPs' room."""
    cfg, attention = model.graph_config, model.attention[0]
    d_head, element = attention.W_V.shape[-1], attention.W_Q.element_size()
    d_mlp = _mlp_width(model)
    layers = cfg.n_layers * cfg.d_model * (d_mlp + 4 * cfg.n_heads * d_head)
    products = d_head * ((cfg.n_heads + 8) * model.n_outputs + 8 * cfg.n_layers * d_mlp)
    return element * (layers + products + 3 * cfg.d_model * model.n_outputs + max(BLOCK_ROWS, live) * d_mlp)


def _caches(model: Model, live: int, tokens: int) -> int:
    """What the fast engine keeps of the present circuit whatever it is, in bytes."""
    cfg, attention = model.graph_config, model.attention[0]
    d_head, element = attention.W_V.shape[-1], attention.W_Q.element_size()
    streams = cfg.n_layers * (tokens + 5 * live) * cfg.d_model
    vectors = 2 * cfg.n_layers * cfg.n_heads * (tokens + live) * d_head
    return element * (streams + vectors + cfg.n_layers * live * _mlp_width(model))


def _n_sources(model: Model) -> int:
    """Nodes that write; the graph itself, with all its edges, isn't needed for that."""
    cfg = model.graph_config
    return 1 + cfg.n_layers * (cfg.n_heads + (not cfg.attn_only))


def _mlp_width(model: Model) -> int:
    """Numbers between the products of an MLP, of both where there is a gate."""
    width, n_products = model.mlp_products
    return width * (n_products - 1)


def largest_batch(
    model: Model, prompts: PromptSet, available: int | None, *, engine: str = "fast", **options: str
) -> int:
    """How many prompts to run together.

    All of them, where what they write takes little memory, or where the reference engine
    would compute it anew for every edge; else as many as take little; and half as many until
    the usual run fits.

    Args:
        model: the model.
        prompts: the prompts.
        available: memory that is free, in bytes; ``None`` where it can't be told.
        engine: ``fast`` or ``reference``.
        options: others of :func:`memory_estimate`.
    """
    cfg, n = model.graph_config, len(prompts)
    length = max(len(pair.clean) for pair in prompts.pairs)
    element = model.attention[0].W_Q.element_size()
    contributions = _n_sources(model) * n * length * cfg.d_model * element
    chunks = 1 if engine == "reference" else min(n, math.ceil(contributions / _KEPT_BYTES))
    size = math.ceil(n / chunks)
    while size > 1 and available is not None:
        if memory_estimate(model, prompts, engine=engine, batch_size=size, **options).usual <= available:
            break
        size = math.ceil(size / 2)
    return size


def available_memory(device: torch.device) -> int | None:
    """Memory that is free on a device, in bytes; ``None`` where it can't be told."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = _MEMORY_INFO.read_text().splitlines()
    except OSError:
        return None
    found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if found is None else 1024 * int(found)


def held_memory(device: torch.device) -> int | None:
    """Memory that this process holds on a device, in bytes; ``None`` where it can't be told."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
