"""The check that every model passes before it is used: do its nodes add up to it?

TransformerLens hooks have silently done nothing before, and adapters have had bugs that
changed logits. So the node functions are compared with what the model itself said
*before* it was bridged, and every kind of slot must show an effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from acdc.engine.patched import Edit, run_patched
from acdc.errors import ModelError
from acdc.graph import Graph, Slot
from acdc.models.model import Model
from acdc.models.tokens import Tokens

#: Largest difference allowed, relative to the largest logit. In a float64 model the
#: families that cast to float32 inside are off by about 1e-6.
TOLERANCES = {torch.float64: 1e-5, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}


@dataclass(frozen=True)
class Probe:
    """A clean and a corrupted prompt with the model's own logits on each.

    Attributes:
        clean: token ids.
        corrupted: other token ids, equally many.
        clean_logits: the model's own, ``[pos, n_outputs]``.
        corrupted_logits: likewise.
    """

    clean: tuple[int, ...]
    corrupted: tuple[int, ...]
    clean_logits: Tensor
    corrupted_logits: Tensor


@dataclass(frozen=True)
class SelfCheck:
    """What the check measured.

    Attributes:
        tolerance: largest difference allowed, in logits.
        difference: of the nodes' sum from the model's own logits, at most.
        ablated_difference: of a run with every edge ablated from the model's own logits on
            the corrupted prompt, at most.
        effects: for each kind of slot, how far a change of its input moved a logit.
    """

    tolerance: float
    difference: float
    ablated_difference: float
    effects: dict[str, float]

    @property
    def passed(self) -> bool:
        """Whether the model can be used."""
        return (
            self.difference <= self.tolerance
            and self.ablated_difference <= self.tolerance
            and all(effect > self.tolerance for effect in self.effects.values())
        )

    def __str__(self) -> str:
        effects = ", ".join(f"{kind} {effect:.2g}" for kind, effect in self.effects.items())
        return (
            f"nodes differ from the model's own logits by {self.difference:.2g} "
            f"(with every edge ablated {self.ablated_difference:.2g}; tolerance {self.tolerance:.2g}); "
            f"effect of a change at each kind of slot: {effects}"
        )


def probe_prompts(vocab_size: int, n_ctx: int | None) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Two pairs of random prompts of different lengths, clean and corrupted; always the same."""
    generator = torch.Generator().manual_seed(0)
    longest = min(n_ctx or 16, 16)

    def prompt(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(vocab_size, (length,), generator=generator).tolist())

    return [(prompt(length), prompt(length)) for length in (longest, max(1, longest - 3))]


def self_check(model: Model, probes: Sequence[Probe]) -> SelfCheck:
    """Compare a model's node functions with the model; see DESIGN's always-on checks.

    Args:
        model: the opened model.
        probes: prompts with the model's own logits from before it was bridged.

    Raises:
        ModelError: the check failed; the message has the numbers.
    """
    graph = Graph(model.graph_config)
    clean = Tokens.of([probe.clean for probe in probes], model.device)
    corrupted = Tokens.of([probe.corrupted for probe in probes], model.device)
    every, none = torch.ones(graph.n_edges, dtype=torch.bool), torch.zeros(graph.n_edges, dtype=torch.bool)
    with torch.no_grad():
        inputs = model.embed(clean)
        other_inputs = model.embed(corrupted)
        unused = inputs.new_zeros(()).expand(graph.n_sources, *inputs.shape[1:])
        _, residual = run_patched(model, graph, clean, inputs, every, unused)
        ablated, _ = run_patched(model, graph, corrupted, other_inputs, every, unused)
        _, ablated_residual = run_patched(model, graph, clean, inputs, none, ablated)
        logits = model.logits(residual)
        difference = _largest(logits, [probe.clean_logits for probe in probes])
        ablated_difference = _largest(model.logits(ablated_residual), [probe.corrupted_logits for probe in probes])
        noise = torch.randn(inputs.shape[1:], generator=torch.Generator().manual_seed(1)).to(inputs)
        noise = noise * residual.pow(2).mean().sqrt()
        scale = max(1.0, *(float(probe.clean_logits.abs().max()) for probe in probes))
        tolerance = TOLERANCES[model.dtype] * scale
        effects: dict[str, float] = {}
        for kind in ("q", "k", "v") if graph.cfg.attn_only else ("q", "k", "v", "mlp"):
            # Compiled models saturate: there, only a large change changes anything, and not on every prompt.
            for size in (1, 10, 100):
                nudge = _nudge(kind, size * noise)
                _, nudged = run_patched(model, graph, clean, inputs, every, unused, edit=nudge)
                effects[kind] = _largest(logits, list(model.logits(nudged)), clean.lengths)
                if effects[kind] > tolerance:
                    break
        effects["logits"] = _largest(logits, list(model.logits(residual + noise)), clean.lengths)
    check = SelfCheck(tolerance, difference, ablated_difference, effects)
    if not check.passed:
        raise ModelError(f"{model.name} failed its self-check and can't be used: {check}.")
    return check


def _nudge(kind: str, noise: Tensor) -> Edit:
    """Adds noise, ``[batch, pos, d_model]``, to the input of every slot of a kind."""

    def edit(slots: Sequence[Slot], total: Tensor) -> Tensor:
        chosen = torch.tensor([kind in (slot.letter, slot.node.kind) for slot in slots])
        return total + chosen[:, None, None, None].to(noise) * noise

    return edit


def _largest(logits: Tensor, others: list[Tensor], lengths: Sequence[int] | None = None) -> float:
    """Largest difference over all prompts, up to each one's end; infinite where something is NaN."""
    largest = 0.0
    for i, other in enumerate(others):
        end = len(other) if lengths is None else lengths[i]
        difference = (logits[i, :end].double() - other[:end].to(logits.device).double()).abs().max()
        largest = max(largest, float(difference.nan_to_num(float("inf"))))
    return largest
