"""RelP as a method: attribution with the propagation rules of relevance in the place of gradients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from acdc.asked import option
from acdc.methods.base import Cost, Found, Log
from acdc.methods.sided import SIDES, Sided

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric


@dataclass(frozen=True)
class RelP(Sided):
    """Relevance patching: plain attribution whose way back follows rules that conserve what is put in at the logits.

    The score of an edge is the change of its source's contribution times the relevance at its slot. A rule that is
    off leaves the gradient there; with all four off, this is plain attribution. With all four on, relevance is
    conserved over any cut, and without that of attention at the last one (:mod:`acdc.methods.relevance`); a run's
    record has how far that is off.

    Attributes:
        side: the run in which the way back is taken, as in :class:`acdc.methods.eap.Eap`; the authors' is the
            corrupted one.
        norm_rule: LN: what a norm divides by is a constant.
        activation_rule: Identity: an activation act(z) is z times the constant act(z) / z, at 0 of z act'(0). So
            are soft caps and clipped values.
        gate_rule: Half: each factor of a gated MLP gets half of the gradient.
        attention_rule: AH: where a head looks is a constant, so that queries and keys have no relevance.
    """

    name: ClassVar = "relp"
    source: ClassVar = "Rezaei Jafari et al. 2025, arXiv 2508.21258, rules LN, Identity, Half and AH"
    decides: ClassVar = False

    side: str = option("corrupted", "The run in which the gradient is taken: clean or corrupted.")
    norm_rule: bool = option(True, "What norms divide by is a constant on the way back.")
    activation_rule: bool = option(True, "Activations are z times a constant act(z)/z on the way back.")
    gate_rule: bool = option(True, "Each factor of a gated MLP gets half of the gradient.")
    attention_rule: bool = option(False, "Where heads look is a constant on the way back.")

    def cost(self, graph: Graph) -> Cost:
        """A run and a way back, and another of each where what is conserved is measured at every cut."""
        return Cost(2, 2) if self._cuts == "all" else Cost(1, 1)

    @property
    def _cuts(self) -> str:
        """Where these rules conserve."""
        if not (self.norm_rule and self.activation_rule):
            return "none"
        return "all" if self.gate_rule and self.attention_rule else "logits"

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Score all edges; which to keep is for a selection.

        Raises:
            SettingsError: the metric has no gradient at the clean run; or a rule can't be followed inside of an MLP.
        """
        # torch takes seconds to import
        from acdc.methods.attribution import doubt_zero_input, metric_ends
        from acdc.methods.relevance import relevance_attribution
        from acdc.models.rules import BackwardRules

        self.check_metric(setting, metric)
        half = 0.5 if self.gate_rule else 1.0
        rules = BackwardRules(
            norm=self.norm_rule, activation=self.activation_rule, pattern=self.attention_rule, gate=half, up=half
        )
        instead = "give `activation_rule=False` and `gate_rule=False`, and its own gradient is taken"
        ruled = replace(setting, model=setting.model.with_rules(rules, instead))
        scores, conserved = relevance_attribution(ruled, metric, SIDES[self.side], log, cuts=self._cuts)
        conserved.warn_if_large(self.name)
        if self.side == "corrupted" and setting.ablation != "corrupted":
            clean, ablated = metric_ends(setting, metric)
            doubt_zero_input(setting, scores, ablated - clean, self.name)
        return Found(scores, measured={"cost": self.cost(setting.graph).to_json(), "conservation": conserved.to_json()})
