"""An MLP in its parts, for a way back that differs from its gradient: what is before, at and behind its activation.

The parts are the model's own modules. That they make what the MLP makes is proved by trying, so that no list of class
names decides; what doesn't come apart so (mixtures of experts) has no parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from acdc.models.mlp import TOLERANCE
from acdc.models.rules import BackwardRules, scaled_back


@dataclass(frozen=True)
class MlpParts:
    """``out(act(in(x)))``, or with a gate ``out(act(gate(x)) * in(x))``.

    Attributes:
        before: in front of the activation, or beside the gate. gate: in front of the activation, where there is one.
        behind: from the activated numbers to what is written.
        activation: elementwise.
    """

    before: Callable[[Tensor], Tensor]
    gate: Callable[[Tensor], Tensor] | None
    behind: Callable[[Tensor], Tensor]
    activation: Callable[[Tensor], Tensor]

    def __call__(
        self, x: Float[Tensor, "*batch d_model"], rules: BackwardRules
    ) -> Float[Tensor, "*batch d_model"]:
        """Run it on normed inputs, ``[..., d_model]`` to the same, with a way back by the rules."""
        if self.gate is None:
            return self.behind(rules.elementwise(self.activation, self.before(x)))
        gate = scaled_back(rules.elementwise(self.activation, self.gate(x)), rules.gate)
        return self.behind(gate * scaled_back(self.before(x), rules.up))


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
    before, gate, behind = (_raw(bridge._modules.get(name)) for name in ("in", "gate", "out"))
    if before is None or behind is None:
        return None
    weight = getattr(before, "weight", None)
    if not isinstance(weight, Tensor):
        return None
    # Wide enough that activations differ.
    probe = 3 * torch.randn(1, 8, d_model, generator=torch.Generator().manual_seed(0)).to(weight)
    with torch.no_grad():
        expected = run(probe)
        for activation in _activations(bridge, owner):
            parts = MlpParts(before, gate, behind, activation)
            found = _tried(parts, probe)
            if found is not None and found.shape == expected.shape:
                error = float((found - expected).abs().max())
                if error <= TOLERANCE[weight.dtype] * float(expected.abs().max()):
                    return parts
    return None


def _tried(parts: MlpParts, probe: Tensor) -> Tensor | None:
    """What the parts make of inputs; ``None`` where they don't fit each other."""
    try:
        return parts(probe, BackwardRules())
    except (RuntimeError, TypeError):
        return None


def _squared_relu(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _activations(bridge: Any, owner: Any) -> Iterator[Callable[[Tensor], Tensor]]:
    """The module's own first, then those that modules write out in their code."""
    for module in (owner, bridge):
        for held in (vars(module), vars(module)["_modules"]):
            for name, value in held.items():
                if "act" in name.strip("_").split("_")[0] and callable(value):
                    yield _raw(value)
    yield from (partial(F.gelu, approximate="tanh"), F.gelu, F.relu, F.silu, _squared_relu)


def _raw(module: Any) -> Any:
    """The model's own module under a bridge component, or what is none itself."""
    return getattr(module, "original_component", module)
