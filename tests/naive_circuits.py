"""Circuits run one by one through whole patched runs, and prompt pairs to run them on."""

import numpy as np
import torch

from acdc import Graph, PromptPair
from acdc.models.patched import run_patched, run_unpatched
from acdc.models.tokens import Tokens


def prompt_pairs(n, length=6, vocab=50, seed=0):
    """Random pairs with one right and one wrong answer each, at the last position."""
    generator = torch.Generator().manual_seed(seed)
    clean, corrupted = torch.randint(2, vocab, (2, n, length), generator=generator).tolist()
    answers = [torch.randperm(vocab, generator=generator)[:2].tolist() for _ in range(n)]
    return [
        PromptPair(tuple(c), tuple(x), ((right,),), ((wrong,),))
        for c, x, (right, wrong) in zip(clean, corrupted, answers, strict=True)
    ]


class Oracle:
    """Runs any circuit of a model on pairs of one length; removed edges carry the corrupted run's values."""

    def __init__(self, model, pairs):
        self._model, self._graph, self._pairs = model, Graph(model.graph_config), pairs
        self._tokens = Tokens.of([pair.clean for pair in pairs], model.device)
        corrupted = Tokens.of([pair.corrupted for pair in pairs], model.device)
        self._other, _ = run_unpatched(model, self._graph, corrupted, model.embed(corrupted, split=False))

    @torch.no_grad()
    def logits(self, mask):
        """At the last position, ``[prompt, n_outputs]``."""
        inputs = self._model.embed(self._tokens, split=False)
        _, residual = run_patched(self._model, self._graph, self._tokens, inputs, torch.tensor(mask), self._other)
        return self._model.logits(residual[:, -1]).double()

    def differences(self, mask):
        """Right minus wrong logit, ``[prompt]``."""
        logits = self.logits(mask).cpu().numpy()
        rows = np.arange(len(self._pairs))
        right, wrong = ([getattr(pair, which)[0][0] for pair in self._pairs] for which in ("answers", "wrong_answers"))
        return logits[rows, right] - logits[rows, wrong]


def turned(pair):
    """A pair with its right and wrong answers changed over."""
    return PromptPair(pair.clean, pair.corrupted, pair.wrong_answers, pair.answers)


def telling(model, pairs):
    """The pairs, with answers such that ablating every edge costs logit difference on each."""
    oracle = Oracle(model, pairs)
    masks = (make(oracle._graph.n_edges, dtype=bool) for make in (np.ones, np.zeros))
    whole, empty = map(oracle.differences, masks)
    return [pair if cost > 0 else turned(pair) for pair, cost in zip(pairs, whole - empty, strict=True)]
