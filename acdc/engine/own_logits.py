"""The model's own logits where answers are read: each prompt at its own length, and without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.models.model import Model
from acdc.models.tokens import Tokens

#: Logits of the model itself that are held at a time, in bytes.
_OWN_BYTES = 256 * 2**20


@torch.no_grad()
def own_predictions(
    model: Model,
    prompts: Sequence[tuple[int, ...]],
    rows: Int[Tensor, " prediction"],
    columns: Int[Tensor, " prediction"],
) -> Iterator[tuple[list[int], Float[Tensor, "some n_outputs"]]]:
    """Run the model itself.

    Args:
        model: the model.
        prompts: token ids.
        rows: prompt of each prediction.
        columns: position of each.

    Yields:
        The numbers of some predictions, and their logits.
    """
    predictions: dict[int, list[int]] = {}  # of each prompt
    for prediction, row in enumerate(rows.tolist()):
        predictions.setdefault(row, []).append(prediction)
    for batch in _alike(prompts, 8 * model.n_outputs):
        chosen = [(i, prediction) for i, row in enumerate(batch) for prediction in predictions[row]]
        at = [prediction for _, prediction in chosen]
        of_prompt = torch.tensor([i for i, _ in chosen], device=model.device)
        tokens = Tokens.of([prompts[row] for row in batch], model.device)
        yield at, model.own_logits_at(tokens, of_prompt, columns[at])


def _alike(prompts: Sequence[Sequence[int]], bytes_a_token: int) -> list[list[int]]:
    """Numbers of prompts of one length, as many together as the model's logits leave room for."""
    lengths: dict[int, list[int]] = {}
    for row, prompt in enumerate(prompts):
        lengths.setdefault(len(prompt), []).append(row)
    batches = []
    for length, rows in lengths.items():
        together = max(1, _OWN_BYTES // (length * bytes_a_token))
        batches += [rows[i : i + together] for i in range(0, len(rows), together)]
    return batches
