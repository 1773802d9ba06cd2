"""GIM as a method: attribution with gradients that are modified where components interact."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from acdc.asked import option
from acdc.errors import SettingsError
from acdc.methods.base import Found, Log
from acdc.methods.eap import at_sides
from acdc.methods.sided import SIDES, Sided

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.metrics import Metric

_SCALES = ("query_scale", "key_scale", "value_scale", "gate_scale", "up_scale")


@dataclass(frozen=True)
class Gim(Sided):
    """Gradient interaction modifications: plain attribution whose way back is changed where factors are multiplied.

    At a temperature of 1 with scales of 1 and `norm_rule` off, this is :class:`acdc.methods.eap.Eap`. Scores keep the
    attribution of every node, by the gradient as it is changed; over a cut they add up to nothing.

    Attributes:
        side: the run in which the gradient is taken; its values are the model's.
        norm_rule: what a norm divides by is a constant.
        temperature: of the softmax of a head's scores, on the way back alone.
        query_scale, key_scale, value_scale: what goes back through a head's queries, keys and values is multiplied
            by: a half for each product that they are in.
        gate_scale, up_scale: likewise through the two factors of a gated MLP.

    Raises:
        SettingsError: the temperature isn't positive, or a scale is negative.
    """

    name: ClassVar = "gim"
    source: ClassVar = "Edin et al. 2025, arXiv 2505.17630"
    decides: ClassVar = False

    norm_rule: bool = option(True, "What norms divide by is a constant on the way back.")
    temperature: float = option(2.0, "Of the heads' softmax on the way back.")
    query_scale: float = option(0.25, "What goes back through queries is multiplied by this.")
    key_scale: float = option(0.25, "What goes back through keys is multiplied by this.")
    value_scale: float = option(0.5, "What goes back through values is multiplied by this.")
    gate_scale: float = option(0.5, "What goes back through the activated factor of a gated MLP is multiplied by this.")
    up_scale: float = option(0.5, "What goes back through its other factor is multiplied by this.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.temperature < math.inf:
            raise SettingsError(f"`temperature` must be a positive number, not {self.temperature:g}.")
        for name in _SCALES:
            if not 0 <= (scale := getattr(self, name)) < math.inf:
                raise SettingsError(f"`{name}` must be a number of at least 0, not {scale:g}.")

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Score all edges; which to keep is for a selection.

        Raises:
            SettingsError: the metric has no gradient at the clean run; or a scale can't be followed inside of an MLP.
        """
        from acdc.models.rules import BackwardRules  # torch, as in acdc.methods.acdc

        self.check_metric(setting, metric)
        rules = BackwardRules(
            norm=self.norm_rule,
            temperature=self.temperature,
            query=self.query_scale,
            key=self.key_scale,
            value=self.value_scale,
            gate=self.gate_scale,
            up=self.up_scale,
        )
        instead = "give `gate_scale=1` and `up_scale=1`, and its own gradient is taken"
        ruled = replace(setting, model=setting.model.with_rules(rules, instead))
        return at_sides(self, ruled, metric, {SIDES[self.side]: 1.0}, log)
