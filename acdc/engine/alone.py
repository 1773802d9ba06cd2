"""One circuit by itself: a whole patched run."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from acdc.engine.contributions import contribution_bytes
from acdc.engine.hidden_units import MaskedMlps
from acdc.engine.setting import Setting
from acdc.engine.sizes import Sizes
from acdc.models.patched import run_patched


def run_alone(
    setting: Setting,
    kept: Bool[np.ndarray, " n_edges"] | Bool[Tensor, " n_edges"] | Float[Tensor, " n_edges"],
    *,
    mlps: MaskedMlps | None = None,
) -> Float64[Tensor, "prediction n_outputs"]:
    """A circuit's logits at the predictions that count.

    Args:
        setting: model, prompts and what removed edges carry.
        kept: its edges; or shares from 0 to 1, and if they want a gradient, the logits have one.
        mlps: in place of the model's MLPs, some hidden units of which are ablated.
    """
    if isinstance(kept, np.ndarray):
        kept = torch.tensor(np.ascontiguousarray(kept))  # a copy: torch takes no array that is read-only or runs back
    given = setting.contributions
    found = []
    with torch.set_grad_enabled(torch.is_grad_enabled() and kept.requires_grad):
        for rows in given.chunks:
            _, residual = run_patched(
                setting.model,
                setting.graph,
                setting.tokens[rows],
                given.inputs[:, rows],
                kept,
                given.ablated(rows),
                mlp=None if mlps is None else mlps.on(rows),
            )
            found.append(setting.predictions(residual, rows))
        return torch.cat(found)


def run_bytes(sizes: Sizes) -> int:
    """A patched run of the prompts that are run together: what nodes write, a layer's inputs and its patterns."""
    patterns = sizes.n_heads * sizes.together * sizes.length * 4
    return contribution_bytes(sizes) + 3 * sizes.inputs_of_a_layer + patterns
