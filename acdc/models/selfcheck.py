"""The check that every model passes before it is used: do its nodes add up to it?

TransformerLens hooks have silently done nothing before, and adapters have had bugs that
changed logits. So the node functions are compared with what the model itself said
*before* it was bridged, and every kind of slot must show an effect. The prompts of a run
are then checked once more, each alone and at its own length: what depends on a prompt's
length doesn't show on short ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from acdc.errors import ModelError
from acdc.graph import Graph, Slot
from acdc.models.model import Model, is_dead
from acdc.models.patched import run_patched, run_unpatched
from acdc.models.tokens import Tokens

#: Largest difference allowed, relative to how far logits that matter are from their middle. In a
#: float64 model the families that cast to float32 inside are off by about 1e-6.
TOLERANCES = {torch.float64: 1e-5, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}


#: A logit that is lower than the row's largest by more is of no token that matters: its probability is below 1e-26.
_LOWEST = 60.0
#: Logits in float64 that are compared at a time, in bytes: few enough to stay in the cache.
_PART_BYTES = 2**20
#: Units in the last place that rounding may take of logits that are all large.
_ROUNDINGS = 8


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
class LogitComparison:
    """How far logits are from a model's own.

    A token that can't be predicted counts as it is: a logit that is far below the row's largest is
    compared relative to itself, and minus infinity with minus infinity. What all logits of a row have in
    common changes no prediction and widens no tolerance; a difference in it counts relative to its size.

    Attributes:
        difference: at most, in logits; infinite where something is NaN.
        tolerance: what is allowed.
    """

    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether they are the same but for rounding."""
        return self.difference <= self.tolerance

    def __or__(self, other: LogitComparison) -> LogitComparison:
        """Both taken together."""
        return LogitComparison(max(self.difference, other.difference), max(self.tolerance, other.tolerance))


def compare_logits(found: Tensor, own: Tensor, dtype: torch.dtype) -> LogitComparison:
    """Compare logits with a model's own.

    Args:
        found: ``[row, n_outputs]``.
        own: the model's, likewise.
        dtype: precision of the model.
    """
    step = max(1, _PART_BYTES // (8 * own.shape[-1]) if found.device.type == "cpu" else len(found))
    parts = [slice(start, start + step) for start in range(0, len(found), step)]
    scale = max(1.0, *(_reach(own[rows].to(found.device).double()) / 2 for rows in parts))
    worst = max(_apart(found[rows].double(), own[rows].to(found.device).double(), dtype, scale) for rows in parts)
    tolerance = TOLERANCES[dtype] * scale
    return LogitComparison(worst * tolerance, tolerance)


def _reach(own: Tensor) -> float:
    """How far logits that matter are from the largest of their row, at most."""
    largest = own.amax(-1, keepdim=True)  # [row, 1]
    return float((largest - own).where(own >= largest - _LOWEST, 0.0).amax())


def _apart(found: Tensor, own: Tensor, dtype: torch.dtype, scale: float) -> float:
    """How far logits are from a model's own, at most, as a share of what is allowed; infinite where one is NaN.

    Args:
        found: ``[row, n_outputs]`` in float64.
        own: the model's, likewise.
        dtype: precision of the model.
        scale: how far logits that matter are from their middle.
    """
    tolerance = TOLERANCES[dtype] * scale
    matters = own >= own.amax(-1, keepdim=True) - _LOWEST  # [row, n_outputs]
    both_dead = is_dead(found, dtype) & (own == -torch.inf)
    gap = (found - own).masked_fill(both_dead, 0.0)
    shift = gap.where(matters, 0.0).sum(-1, keepdim=True) / matters.sum(-1, keepdim=True)  # [row, 1]
    size = own.abs().masked_fill(both_dead, 0.0)
    common = (size.where(matters, 0.0).amax(-1, keepdim=True)).clamp(min=scale)
    allowed = tolerance + _ROUNDINGS * torch.finfo(dtype).eps * size
    allowed = torch.where(matters, allowed, torch.maximum(allowed, TOLERANCES[dtype] * size))
    apart = torch.where(matters, gap - shift, gap).abs() / allowed
    shifted = shift.abs() / (TOLERANCES[dtype] * common)
    # NaN must not pass for small; amax over both gives it on.
    return float(torch.cat((apart, shifted), -1).amax().nan_to_num(torch.inf, torch.inf))


@dataclass(frozen=True)
class SelfCheck:
    """What the check measured.

    Attributes:
        tolerance: largest difference allowed, in logits.
        difference: of the nodes' sum from the model's own logits, at most; see :class:`LogitComparison`.
        ablated_difference: of a run with every edge ablated from the model's own logits on
            the corrupted prompt, at most.
        effects: for each kind of slot, how far a change of its input moved a logit.
        least_effect: what each must be over. In half precision that is far below the tolerance: without a
            change, the same bits come out, and few slots of a model that is hardly trained move a logit by more.
    """

    tolerance: float
    difference: float
    ablated_difference: float
    effects: dict[str, float]
    least_effect: float

    @property
    def passed(self) -> bool:
        """Whether the model can be used."""
        return (
            self.difference <= self.tolerance
            and self.ablated_difference <= self.tolerance
            and all(effect > self.least_effect for effect in self.effects.values())
        )

    def __str__(self) -> str:
        effects = ", ".join(f"{kind} {effect:.2g}" for kind, effect in self.effects.items())
        return (
            f"nodes differ from the model's own logits by {self.difference:.2g} "
            f"(with every edge ablated {self.ablated_difference:.2g}; tolerance {self.tolerance:.2g}); "
            f"effect of a change at each kind of slot (over {self.least_effect:.2g}): {effects}"
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
    none = torch.zeros(graph.n_edges, dtype=torch.bool)
    with torch.no_grad():
        ablated, other_residual = run_unpatched(model, graph, corrupted, model.embed(corrupted))
        inputs = model.embed(clean)
        _, ablated_residual = run_patched(model, graph, clean, inputs, none, ablated)
        corrupted_side = _compare_probes(
            model, model.logits(ablated_residual), [probe.corrupted_logits for probe in probes]
        )
        noise = torch.randn(inputs.shape[1:], generator=torch.Generator().manual_seed(1)).to(inputs)
        noise = noise * other_residual.pow(2).mean().sqrt()
        kinds = ("q", "k", "v") if graph.cfg.attn_only else ("q", "k", "v", "mlp")
        last = len(probes) - 1
        # In one run, for what it costs: the prompts as they are, and the last with a change at each kind of slot.
        plain = [(row, "") for row in range(len(probes))]
        residual = _run_nudged(model, graph, clean, inputs, noise, [*plain, *((last, kind) for kind in kinds)])
        logits = model.logits(residual[: len(probes)])
        clean_side = _compare_probes(model, logits, [probe.clean_logits for probe in probes])
        tolerance = max(clean_side.tolerance, corrupted_side.tolerance)
        least = tolerance * min(1.0, TOLERANCES[torch.float32] / TOLERANCES[model.dtype])
        effects = {
            kind: _largest(logits[last], model.logits(nudged[: clean.lengths[last]]))
            for kind, nudged in zip(kinds, residual[len(probes) :], strict=True)
        }
        # Compiled models saturate: there, only a large change changes anything, and not on every prompt.
        for size in (1, 10, 100):
            for kind in (kind for kind in kinds if not effects[kind] > least):
                rows = [(row, kind) for row in range(len(probes))]
                nudged = _run_nudged(model, graph, clean, inputs, size * noise, rows)
                effects[kind] = _largest_of(logits, model.logits(nudged), clean.lengths)
        effects["logits"] = _largest_of(logits, model.logits(residual[: len(probes)] + noise), clean.lengths)
    check = SelfCheck(tolerance, clean_side.difference, corrupted_side.difference, effects, least)
    if not check.passed:
        where = "" if clean_side.passed else f"; {model.where_it_differs(clean[:1])}"
        raise ModelError(f"{model.name} failed its self-check and can't be used: {check}{where}.")
    _check_bridge(model, clean, probes)
    return check


def _run_nudged(
    model: Model, graph: Graph, clean: Tokens, inputs: Tensor, noise: Tensor, asked: Sequence[tuple[int, str]]
) -> Tensor:
    """Last residuals of the whole model where something is added to what slots read, ``[run, pos, d_model]``.

    Args:
        model: the model.
        graph: its graph.
        clean: the prompts.
        inputs: what the input writes on them.
        noise: what is added on each, ``[prompt, pos, d_model]``.
        asked: of each run the prompt, and the kind of slots; none by that name where nothing is to be added.
    """
    rows = [row for row, _ in asked]

    def edit(slots: Sequence[Slot], total: Tensor) -> Tensor:
        chosen = torch.tensor([[kind in (slot.letter, slot.node.kind) for _, kind in asked] for slot in slots])
        return torch.addcmul(total, chosen[:, :, None, None].to(noise), noise[rows])

    tokens = Tokens(clean.ids[rows], tuple(clean.lengths[row] for row in rows))
    every, unused = torch.ones(graph.n_edges, dtype=torch.bool), inputs.new_zeros(())
    unused = unused.expand(graph.n_sources, len(rows), *inputs.shape[2:])
    return run_patched(model, graph, tokens, inputs[:, rows], every, unused, edit=edit)[1]


def _check_bridge(model: Model, clean: Tokens, probes: Sequence[Probe]) -> None:
    """Refuse a bridge that computes something else than the model did: a run compares its prompts with it."""
    found = _compare_probes(model, model.own_logits(clean), [probe.clean_logits for probe in probes])
    if not found.passed:
        raise ModelError(
            f"{model.name} can't be used: through TransformerLens' bridge it gives other logits than without, "
            f"by {found.difference:.2g} (tolerance {found.tolerance:.2g}); a field of its config may be the cause."
        )


def _compare_probes(model: Model, logits: Tensor, own: list[Tensor]) -> LogitComparison:
    """Logits of several prompts, ``[prompt, pos, n_outputs]``, with the model's own, each up to its prompt's end."""
    found = torch.cat([logits[i, : len(theirs)] for i, theirs in enumerate(own)])
    return compare_logits(found, torch.cat(own).to(found.device), model.dtype)


def _largest_of(logits: Tensor, others: Tensor, lengths: Sequence[int]) -> float:
    """Largest difference over all prompts, up to each one's end."""
    return max(_largest(logits[i, :end], others[i, :end]) for i, end in enumerate(lengths))


def _largest(logits: Tensor, other: Tensor) -> float:
    """Largest difference of the rows of the second from those of the first; infinite where something is NaN."""
    difference = (logits[: len(other)].double() - other.double()).abs().max()
    return float(difference.nan_to_num(float("inf")))
