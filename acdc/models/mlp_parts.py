"""An MLP in its parts, for a way back that differs from its gradient: what is before, at and behind its activation.

The parts are the model's own modules. That they make what the MLP makes is proved by trying, so that no list of class
names decides; what doesn't come apart so (mixtures of experts) has no parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from acdc.models.freezing import FrozenLayer
from acdc.models.mlp import TOLERANCE
from acdc.models.norms import Norm
from acdc.models.rules import NO_RULES, BackwardRules, handed_back_by, scaled_back, with_bias_weight


@dataclass(frozen=True)
class MlpParts:
    """``behind(act(before(x)))``, or with a gate ``behind(act(gate(x)) * before(x))``.

    Attributes:
        before: in front of the activation, or beside the gate.
        gate: in front of the activation, where there is a gate.
        behind: from the activated numbers to what is written.
        activation: elementwise.
        bias_weight: what the biases of the three are multiplied by; nothing without.
    """

    before: nn.Module
    gate: nn.Module | None
    behind: nn.Module
    activation: Callable[[Tensor], Tensor]
    bias_weight: Tensor | None = None

    def __call__(self, x: Float[Tensor, "*batch d_model"], rules: BackwardRules) -> Float[Tensor, "*batch d_model"]:
        """Run it on normed inputs, ``[..., d_model]`` to the same, with a way back by the rules."""
        inner = self._map(self.before, x)
        if self.gate is None:
            return self._map(self.behind, rules.elementwise(self.activation, inner))
        gate = rules.elementwise(self.activation, self._map(self.gate, x))
        return self._map(self.behind, scaled_back(gate, rules.gate) * scaled_back(inner, rules.up))

    def _map(self, linear: nn.Module, x: Tensor) -> Tensor:
        return with_bias_weight(linear(x), getattr(linear, "bias", None), self.bias_weight)


@dataclass(frozen=True)
class RuledMlp:
    """What an MLP writes, given its residual input, with a way back by rules.

    Attributes:
        before: the norm in front. after: the norm behind, or none.
        inside: the module between them, whose values these are.
        parts: the same taken apart, where a rule is for what is inside.
        multiplier: what the block's output is multiplied by (Granite), else 1.
        rules: what the way back does otherwise than the gradient.
    """

    before: Norm
    inside: Callable[[Tensor], Tensor]
    parts: MlpParts | None
    after: Norm
    multiplier: float
    rules: BackwardRules

    def __call__(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """``[batch, pos, d_model]`` to the same."""
        x = self.before(x)
        if self.parts is None or not torch.is_grad_enabled():
            y = self.inside(x)
        else:
            with torch.no_grad():
                y = self.inside(x)
            y = handed_back_by(y, self.parts(x, self.rules))
        y = self.after(y)
        return y if self.multiplier == 1.0 else self.multiplier * y

    def with_frozen(self, layer: FrozenLayer) -> RuledMlp:
        """The same with what is frozen of its layer."""
        return replace(self, before=self.before.with_frozen(layer.mlp), after=self.after.with_frozen(layer.after))

    def with_bias_weight(self, weight: Tensor) -> RuledMlp:
        """The same with all biases multiplied by a number."""
        parts = None if self.parts is None else replace(self.parts, bias_weight=weight)
        before, after = self.before.with_bias_weight(weight), self.after.with_bias_weight(weight)
        return replace(self, before=before, after=after, parts=parts)


def read_parts(bridge: Any, owner: Any, run: Callable[[Tensor], Tensor], d_model: int) -> MlpParts | None:
    """Take an MLP apart, and prove that the parts make what it makes.

    Args:
        bridge: the MLP's bridge component.
        owner: the module of the model that has the activation.
        run: the MLP itself, on ``[batch, pos, d_model]`` normed inputs.
        d_model: width of the residual stream.

    Returns:
        The parts, or ``None`` where it is something else.
    """
    found: list[tuple[float, MlpParts]] = []
    for before, gate, behind in _linear_maps(bridge, owner):
        # Wide enough that activations differ.
        probe = 3 * torch.randn(1, 8, d_model, generator=torch.Generator().manual_seed(0)).to(before.weight)
        with torch.no_grad():
            expected = run(probe)
            for activation in _activations(bridge, owner):
                parts = MlpParts(before, gate, behind, activation)
                error = _error(parts, probe, expected)
                if error <= TOLERANCE[probe.dtype] * float(expected.abs().max()):
                    found.append((error, parts))
    return min(found, key=lambda one: one[0])[1] if found else None


def _error(parts: MlpParts, probe: Tensor, expected: Tensor) -> float:
    """How far the parts are from what the MLP makes of inputs, at most; infinite where they don't fit each other."""
    try:
        return float((parts(probe, NO_RULES) - expected).abs().max())
    except (RuntimeError, TypeError):
        return float("inf")


def _linear_maps(bridge: Any, owner: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Modules that may be those in front of the activation, of the gate and behind: the bridge's, or by their names.

    Bridges of layers that are experts elsewhere in the model (Llama 4, DeepSeek) have none where they aren't.
    """
    for module, names in ((bridge, ("in", "gate", "out")), (owner, ("up_proj", "gate_proj", "down_proj"))):
        before, gate, behind = (_raw(module._modules.get(name)) for name in names)
        if behind is not None and isinstance(getattr(before, "weight", None), Tensor):
            yield before, gate, behind


def _squared_relu(x: Tensor) -> Tensor:
    return F.relu(x).square()


#: Parts of the names under which modules hold their activations.
_NAMED = ("act", "gelu")


def _activations(bridge: Any, owner: Any) -> Iterator[Callable[[Tensor], Tensor]]:
    """The module's own first, then those that modules write out in their code."""
    for module in (owner, bridge):
        for held in (vars(module), vars(module)["_modules"]):
            for name, value in held.items():
                if any(part in name for part in _NAMED) and callable(value):
                    yield _raw(value)
    yield from (partial(F.gelu, approximate="tanh"), F.gelu, F.relu, F.silu, _squared_relu)


def _raw(module: Any) -> Any:
    """The model's own module under a bridge component, or what is none itself."""
    return getattr(module, "original_component", module)
