"""Whether heads copy the tokens that they look at, or suppress them, through their OV circuits alone."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from acdc.analysis.named import all_heads, thawed
from acdc.analysis.tokenwise import all_tokens, as_added, read_out, task_tokens, token_inputs, values
from acdc.engine.setting import Setting
from acdc.models.model import Model
from acdc.models.tokens import Tokens
from acdc.models.torchstate import own_torch_state

#: Tokens that are tried, at most.
MOST = 300
#: A head copies a token if its logit is among so many highest of all that are tried, or a twentieth where that is less.
AMONG = 5


@own_torch_state()
@torch.no_grad()
def copying(on: Setting | Model, *, first_mlp: bool = True, seed: int = 0) -> Float[np.ndarray, "head 2"]:
    """Shares of tokens that each head copies and that it suppresses, ``[head, 2]``.

    A token is put through the embedding (and the first MLP, for heads behind it), the head's norm, W_V, W_O, a norm
    behind the layer's heads, the final norm without its bias, and W_U. The head copies it if of the logits of all
    tokens that are tried the token's own is among the :data:`AMONG` highest (or the highest twentieth, if these are
    fewer), and suppresses it if it is among as many lowest. Scales of norms behind the head don't matter to ranks.
    After the copy scores of Wang et al. 2022 (arXiv 2211.00593) and McDougall et al. 2023 (arXiv 2310.04625), who rank
    among the full vocabulary; by chance a share of a twentieth at most is among them here.

    Args:
        on: a model on prompts, whose tokens are tried; of a model alone random ones are. No more than :data:`MOST`.
        first_mlp: with the first MLP.
        seed: of the draw.

    Returns:
        NaN for a model whose outputs aren't its tokens (fewer than two of those tried), or that makes its logits
        by more than a matrix.
    """
    model = thawed(on.model if isinstance(on, Setting) else on)
    ids = tried(on, seed)
    heads = all_heads(model.graph_config)
    if len(ids) < 2 or model.readout() is None:
        return np.full((len(heads), 2), np.nan)
    alone = Tokens(torch.as_tensor(ids, device=model.device)[:, None], (1,) * len(ids))
    among = max(1, min(AMONG, len(ids) // 20))
    read = token_inputs(model, ids, heads, first_mlp=first_mlp)
    found = []
    for node in heads:
        written = values(model, node, read[node.layer][:, None], alone)[:, 0]
        logits = read_out(model, as_added(model.attention[node.layer], written, 1.0), ids)  # [token, token]
        own = logits.diagonal()[:, None]
        # Who is level with others isn't among the highest of them; each is level with itself.
        above, below = (logits >= own).sum(1) - 1, (logits <= own).sum(1) - 1
        found.append([float((others < among).double().mean()) for others in (above, below)])
    return np.array(found)


def tried(on: Setting | Model, seed: int) -> Int[np.ndarray, " token"]:
    """The tokens that are tried: those of the task, or any, that the model can also predict."""
    model = on.model if isinstance(on, Setting) else on
    ids = task_tokens(on) if isinstance(on, Setting) else all_tokens(model)
    ids = ids[ids < model.n_outputs]
    if model.dead is not None:
        ids = ids[~model.dead.cpu().numpy()[ids]]
    if len(ids) > MOST:
        ids = np.sort(np.random.default_rng(seed).choice(ids, MOST, replace=False))
    return ids
