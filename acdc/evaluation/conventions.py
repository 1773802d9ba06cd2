"""How a circuit is run and its KL counted: as acdc does, or as EAP-IG and the MIB benchmark do.

They differ in four places, and only in these (docs/other-tools.md):

- prompts begin with exactly one BOS;
- position embeddings are part of no node, so that zero and mean ablation leave them: the same as acdc's split input
  with every edge of ``pos_embed`` kept;
- a circuit is pruned to its paths from the input to the logits before it is run;
- KL is averaged over the vocabulary instead of summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from acdc.engine.setting import Setting
from acdc.errors import SettingsError, UnknownNameError
from acdc.evaluation.judgement import EAP_IG, OWN
from acdc.graph import Graph
from acdc.metrics import METRICS, AnswerTokens, Metric
from acdc.models.model import Model
from acdc.pairs.tokenizer import named_id

CONVENTIONS = (OWN, EAP_IG)


def check_convention(name: str) -> None:
    """Raise :class:`UnknownNameError` unless there is such a convention."""
    if name not in CONVENTIONS:
        raise UnknownNameError("convention", name, CONVENTIONS)


def check_begins(convention: str, bos: str | None, model: Model) -> None:
    """Raise :class:`SettingsError` where the convention asks for a BOS and there is none.

    Args:
        convention: one of :data:`CONVENTIONS`.
        bos: how prompts begin, see :func:`acdc.pairs.tokenize_pair`.
        model: the model.
    """
    if convention == EAP_IG and bos == "yes" and named_id(model.tokenizer, "bos") is None:
        which = "has no tokenizer that names one" if model.tokenizer is None else "has a tokenizer without one"
        raise SettingsError(
            f'`convention="eap-ig"` puts a BOS before every prompt, but {model.name} {which}; give `bos="auto"` too.'
        )


def splits_input(convention: str, model: Model, graph: Graph, ablation: str) -> bool:
    """Whether a circuit is run with its input split into token and position embeddings.

    Args:
        convention: one of :data:`CONVENTIONS`.
        model: the model.
        graph: the circuit's.
        ablation: what removed edges carry.

    Raises:
        SettingsError: the convention can't be kept.
    """
    if convention == OWN:
        return graph.cfg.split_input
    if graph.cfg.split_input:
        raise SettingsError(
            "a circuit with `embed` and `pos_embed` is none of EAP-IG's, whose input is one node; leave out "
            '`convention="eap-ig"`.'
        )
    if model.tied_heads:
        raise SettingsError(
            f"{model.name} has norms behind the sum of its heads, which EAP-IG applies anew for every reader and acdc "
            'shares out among the heads: the numbers differ whatever is counted how; leave out `convention="eap-ig"`.'
        )
    return ablation != "corrupted" and model.has_position_embedding


def run_mask(convention: str, graph: Graph, kept: np.ndarray, of: Graph) -> np.ndarray:
    """The edges to keep in a run.

    Args:
        convention: one of :data:`CONVENTIONS`.
        graph: the circuit's.
        kept: its edges, ``[n_edges]`` bool.
        of: the graph that is run, with the input split or not.

    Returns:
        ``[of.n_edges]`` bool.
    """
    if convention == EAP_IG:
        kept = graph.on_path(kept)
    if of == graph:
        return kept
    found = np.ones(of.n_edges, dtype=bool)
    for slot, split in zip(graph.slots, of.slots, strict=True):
        tokens, others = kept[slot.first_edge], kept[slot.edges][1:]
        found[split.edges] = [tokens, True, *others]  # embed, pos_embed, then what the layers write
    return found


def measures(convention: str, metrics: Sequence[Metric], setting: Setting) -> list[Metric]:
    """Some metrics as the convention counts them."""
    scale = kl_scale(convention, setting)
    kl = METRICS["kl"]

    def scaled(circuit: Tensor, model: Tensor, answers: AnswerTokens) -> Tensor:
        return scale * kl.per_prediction(circuit, model, answers)

    return [replace(metric, per_prediction=scaled) if metric is kl and scale != 1 else metric for metric in metrics]


def kl_scale(convention: str, setting: Setting) -> float:
    """What KL is multiplied by."""
    return 1 / setting.model.n_outputs if convention == EAP_IG else 1.0
