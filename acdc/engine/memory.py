"""How much memory a run will need, before it begins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import torch

from acdc import machine
from acdc.engine.alone import run_bytes
from acdc.engine.contributions import contribution_bytes
from acdc.engine.fast.baseline import baseline_bytes
from acdc.engine.fast.heads import head_bytes
from acdc.engine.fast.mlps import copy_bytes, mlp_bytes
from acdc.engine.fast.places import live_positions
from acdc.engine.fast.present import present_bytes
from acdc.engine.fast.recomputing import batch_bytes
from acdc.engine.fast.scores import score_bytes
from acdc.engine.fast.tactics import Tactics
from acdc.engine.gradients import gradient_bytes
from acdc.engine.setting import prediction_bytes
from acdc.engine.sizes import Sizes
from acdc.models.model import Model
from acdc.models.products import kept_bytes
from acdc.pairs import PromptSet

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: What a process that has opened a model still takes for code and small things, in bytes.
_SLACK = 256 * 2**20
#: Contributions that take no more, in bytes, are computed once and kept; to compute larger ones in
#: chunks a few times costs little beside the run that they are for.
_KEPT_BYTES = 512 * 2**20


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


class MemoryOptions(TypedDict, total=False):
    """What :func:`memory_estimate` wants to know of a run besides its model and prompts.

    Attributes:
        ablation: what removed edges carry.
        engine: ``fast`` or ``reference``.
        gradients: whether the method takes any.
    """

    ablation: str
    engine: str
    gradients: bool


def memory_estimate(
    model: Model,
    prompts: PromptSet,
    *,
    ablation: str = "corrupted",
    engine: str = "fast",
    gradients: bool = False,
    batch_size: int | None = None,
) -> MemoryEstimate:
    """How much memory a run takes: what its parts say, added up.

    What grows with the prompts are contributions, ``[n_sources, prompt, pos, d_model]``: of
    the prompts that are run together, the clean and the ablated ones; and in the fast engine
    their differences, of all prompts, at the positions that matter.

    Args:
        model: the model.
        prompts: the prompts.
        ablation: what removed edges carry.
        engine: ``fast`` or ``reference``.
        gradients: whether the method takes any.
        batch_size: prompts that are run together; by default all.
    """
    sizes = sizes_of(model, prompts, ablation, batch_size or len(prompts))
    contributions = contribution_bytes(sizes)
    # The clean values are held while the corrupted prompts run, the ablated ones while circuits do.
    running = contributions + run_bytes(sizes)
    with_gradients = running + (gradient_bytes(sizes) if gradients else 0)
    fixed = _SLACK + prediction_bytes(sizes)
    if engine == "reference":
        return MemoryEstimate(fixed + with_gradients, fixed + with_gradients)
    fixed += baseline_bytes(sizes) + head_bytes(sizes) + mlp_bytes(sizes) + score_bytes(sizes)
    if model.device.type == "cpu" and sizes.element == 4:
        fixed += kept_bytes(sizes.n_layers * (3 * sizes.n_heads + 1))  # a query, a key, a value a head, and an MLP
        fixed += copy_bytes(sizes)
    held = contributions if sizes.together == sizes.tokens else 0

    def with_share(share: float) -> int:
        batches = batch_bytes(sizes, share, model.device)
        pruning = present_bytes(sizes, share) + max(running, held + batches)
        return fixed + max(present_bytes(sizes, 0.0) + with_gradients, pruning)

    return MemoryEstimate(with_share(_USUAL_SHARE), with_share(1.0))


def sizes_of(model: Model, prompts: PromptSet, ablation: str, batch_size: int) -> Sizes:
    """What a run's memory depends on.

    Args:
        model: the model.
        prompts: the prompts.
        ablation: what removed edges carry.
        batch_size: prompts that are run together, if there are so many.
    """
    cfg, attention = model.graph_config, model.attention[0]
    length = max(len(pair.clean) for pair in prompts.pairs)
    width, n_products = model.mlp_products
    return Sizes(
        n_layers=cfg.n_layers,
        n_heads=cfg.n_heads,
        n_sources=cfg.n_nodes - 1,
        d_model=cfg.d_model,
        d_head=attention.W_V.shape[-1],
        d_mlp=width * (n_products - 1),
        mlp_weights=n_products * cfg.d_model * width,
        n_outputs=model.n_outputs,
        element=attention.W_Q.element_size(),
        length=length,
        tokens=len(prompts) * length,
        together=min(batch_size, len(prompts)) * length,
        predictions=sum(len(pair.answer_positions) for pair in prompts.pairs),
        live=sum(len(found) for found in live_positions(model, prompts, ablation, Tactics())),
    )


def largest_batch(model: Model, prompts: PromptSet, available: int | None, **options: Unpack[MemoryOptions]) -> int:
    """How many prompts to run together.

    All of them, where what they write takes little memory, or where the reference engine
    would compute it anew for every edge; else as many as take little; and half as many until
    the usual run fits.

    Args:
        model: the model.
        prompts: the prompts.
        available: memory that is free, in bytes; ``None`` where it can't be told.
        options: of :func:`memory_estimate`.
    """
    n = len(prompts)
    contributions = contribution_bytes(sizes_of(model, prompts, options.get("ablation", "corrupted"), n))
    chunks = 1 if options.get("engine") == "reference" else min(n, math.ceil(contributions / _KEPT_BYTES))
    size = math.ceil(n / chunks)
    while size > 1 and available is not None:
        if memory_estimate(model, prompts, batch_size=size, **options).usual <= available:
            break
        size = math.ceil(size / 2)
    return size


def available_memory(device: torch.device) -> int | None:
    """Memory that is free on a device, in bytes; ``None`` where it can't be told."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return machine.free_memory()


def held_memory(device: torch.device) -> int | None:
    """Memory that this process holds on a device, in bytes; ``None`` where it can't be told."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return machine.held_memory()
