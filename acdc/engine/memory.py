"""How much memory a run will need, before it begins."""

from __future__ import annotations

import os
from pathlib import Path

from acdc.engine.cost import BATCH_BYTES
from acdc.models.model import Model
from acdc.prompts import PromptSet

#: What a process that has opened a model still takes for code and small things, in bytes.
_SLACK = 256 * 2**20
#: Where Linux says what is free.
_MEMORY_INFO = Path("/proc/meminfo")


def memory_estimate(model: Model, prompts: PromptSet, *, engine: str = "fast", order: str = "default") -> int:
    """Upper estimate of what a run allocates beside the model that is open already, in bytes.

    What grows with the prompts are contributions, ``[n_sources, batch, pos, d_model]``: at
    the end of a run the ablated ones, the differences of the fast engine, and those of the
    circuit that is evaluated.

    Args:
        model: the model.
        prompts: the prompts.
        engine: ``fast`` or ``reference``.
        order: ``attribution`` needs gradients as well.
    """
    cfg = model.graph_config
    attention = model.attention[0]
    d_head, element = attention.W_V.shape[-1], attention.W_Q.element_size()
    length = max(len(pair.clean) for pair in prompts.pairs)
    tokens = len(prompts) * length
    predictions = sum(len(pair.answer_positions) for pair in prompts.pairs)
    n_sources = 1 + cfg.n_layers * (cfg.n_heads + (not cfg.attn_only))
    contributions = n_sources * tokens * cfg.d_model * element
    inputs_of_a_layer = 3 * cfg.n_heads * tokens * cfg.d_model * element
    logits = predictions * model.n_outputs * 8
    total = 3 * contributions + 3 * inputs_of_a_layer + 6 * logits + _SLACK
    if order == "attribution":
        total += 3 * contributions + cfg.n_layers * inputs_of_a_layer
    if engine == "reference":
        return total
    # What slots behind a change read now, and their heads' queries, keys, values and mixtures.
    inputs = cfg.n_layers * (3 * cfg.n_heads + 3) * tokens * cfg.d_model
    vectors = 4 * cfg.n_layers * cfg.n_heads * tokens * d_head
    residuals = 3 * 2 * cfg.n_layers * tokens * cfg.d_model
    mlp = None if cfg.attn_only else model.plain_mlp(0)
    d_mlp = 0 if mlp is None else mlp.plain.W_in.shape[1] * (1 if mlp.plain.W_gate is None else 2)
    first_products = cfg.n_layers * tokens * d_mlp
    weights = cfg.n_layers * cfg.d_model * (d_mlp + 4 * cfg.n_heads * d_head)
    products = d_head * ((cfg.n_heads + 8) * model.n_outputs + 8 * cfg.n_layers * d_mlp)
    unembedding = 3 * cfg.d_model * model.n_outputs
    cached = element * (inputs + vectors + residuals + first_products + weights + products + unembedding)
    # Batches are bounded, but a single run may change everything that is written.
    attention_scores = cfg.n_heads * tokens * length * 4
    batches = 4 * BATCH_BYTES["cuda" if model.device.type == "cuda" else "cpu"] + 2 * contributions + attention_scores
    return total + cached + batches


def available_memory() -> int | None:
    """Memory that is free on this machine, in bytes; ``None`` where it can't be told."""
    try:
        lines = _MEMORY_INFO.read_text().splitlines()
    except OSError:
        return None
    found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if found is None else 1024 * int(found)


def held_memory() -> int | None:
    """Memory that this process holds, in bytes; ``None`` where it can't be told."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
