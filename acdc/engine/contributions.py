"""What every node writes on the clean prompts, and what its removed edges carry instead.

All prompts at a time, both are kept. In chunks, each chunk's values are computed anew
whenever they are asked for: a run of the model, instead of memory for all prompts.
"""

from __future__ import annotations

from copy import copy

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.engine.ablations import ABLATIONS, Ablation
from acdc.engine.sizes import Sizes
from acdc.graph import Graph
from acdc.models.model import Model
from acdc.models.patched import run_unpatched
from acdc.models.tokens import Tokens


class Contributions:
    """Contributions to the residual stream, ``[n_sources, prompt, pos, d_model]`` of each chunk of prompts.

    Attributes:
        chunks: which prompts are run together, in order.
        clean_residual, corrupted_residual: the last residual stream, ``[batch, pos, d_model]``.
        inputs: what the input nodes write on clean prompts, ``[1 or 2, batch, pos, d_model]``.
    """

    @torch.no_grad()
    def __init__(
        self,
        model: Model,
        graph: Graph,
        clean: Tokens,
        corrupted: Tokens,
        ablation: str,
        batch_size: int,
        known: Contributions | None = None,
    ) -> None:
        """Run all prompts once.

        Args:
            model: the model.
            graph: its graph.
            clean: the clean prompts.
            corrupted: the corrupted ones, of the same lengths.
            ablation: what removed edges carry, by name.
            batch_size: prompts that are run together.
            known: those of the same model, graph, clean prompts and ablation: the clean prompts aren't run again.
        """
        self._model, self._graph, self._clean, self._corrupted = model, graph, clean, corrupted
        # What it knows is of the clean prompts only.
        self._ablation: Ablation = ABLATIONS[ablation]() if known is None else known._ablation
        self.chunks = _chunks(len(clean.lengths), batch_size)
        self._held: dict[str, Tensor] = {}  # by kind of prompt, where there is one chunk
        inputs, clean_residuals, corrupted_residuals = [], [], []
        for rows in self.chunks:
            if known is None:
                tokens = clean[rows]
                written, residual = self._run(tokens)
                inputs.append(written[: graph.n_inputs].clone())
                clean_residuals.append(residual)
                self._ablation.see_clean(written, tokens.filled)
                if len(self.chunks) == 1:
                    self._held["clean"] = written
                del written
            written, residual = self._run(corrupted[rows])
            corrupted_residuals.append(residual)
            if len(self.chunks) == 1 and self._ablation.is_corrupted_run:
                self._held["corrupted"] = written
            del written
        self.inputs: Tensor = torch.cat(inputs, 1) if known is None else known.inputs
        self.clean_residual: Tensor = torch.cat(clean_residuals) if known is None else known.clean_residual
        self.corrupted_residual = torch.cat(corrupted_residuals)

    def clean(self, rows: slice) -> Float[Tensor, "n_sources prompt pos d_model"]:
        """What each node writes on some of the clean prompts, ``[n_sources, prompt, pos, d_model]``."""
        return self._held["clean"][:, rows] if "clean" in self._held else self._run(self._clean[rows])[0]

    def ablated(self, rows: slice) -> Float[Tensor, "n_sources prompt pos d_model"]:
        """What each node's removed edges carry on some of the prompts, likewise."""

        def corrupted() -> Tensor:
            held = self._held.get("corrupted")
            return self._run(self._corrupted[rows])[0] if held is None else held[:, rows]

        shape = (self._graph.n_sources, rows.stop - rows.start, *self.inputs.shape[2:])
        return self._ablation.values(corrupted).expand(shape)

    def part(self, rows: slice) -> Contributions:
        """Those of some prompts by themselves, all run together; what nodes write on them is kept if it was."""
        found = copy(self)
        found._clean, found._corrupted = self._clean[rows], self._corrupted[rows]
        found.chunks = _chunks(rows.stop - rows.start, rows.stop - rows.start)
        found._held = {which: written[:, rows] for which, written in self._held.items()}
        found.inputs = self.inputs[:, rows]
        found.clean_residual, found.corrupted_residual = self.clean_residual[rows], self.corrupted_residual[rows]
        return found

    def with_inputs(self, inputs: Float[Tensor, "n_inputs batch pos d_model"]) -> Contributions:
        """The same with something else that the input nodes write."""
        found = copy(self)
        found.inputs = inputs
        return found

    def without_model(self) -> Contributions:
        """The same, to be sent to a process that has the model; see :meth:`on`."""
        found = copy(self)
        found.__dict__.pop("_model", None)
        found._held = {}
        return found

    def on(self, model: Model, together: int) -> Contributions:
        """The same, run on the same model in this process.

        Args:
            model: the model.
            together: prompts that are run together; what removed edges carry is kept if it is all.
        """
        found = copy(self)
        found._model, found.chunks, found._held = model, _chunks(len(self._clean.lengths), together), {}
        if len(found.chunks) == 1 and self._ablation.is_corrupted_run:
            found._held["corrupted"] = found._run(found._corrupted)[0]
        return found

    def forget_clean(self) -> None:
        """Free the clean values; they are computed anew if they are asked for again."""
        self._held.pop("clean", None)

    def forget(self) -> None:
        """Free what every node writes, likewise."""
        self._held.clear()

    @torch.no_grad()
    def _run(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """All nodes' outputs and the last residual of an unpatched run."""
        inputs = self._model.embed(tokens, split=self._graph.cfg.split_input)
        return run_unpatched(self._model, self._graph, tokens, inputs)


def _chunks(n: int, together: int) -> list[slice]:
    """Which of so many prompts are run together."""
    return [slice(start, min(start + together, n)) for start in range(0, n, together)]


def contribution_bytes(sizes: Sizes) -> int:
    """Of one kind, clean or ablated, of the prompts that are run together."""
    return sizes.n_sources * sizes.together * sizes.stream
