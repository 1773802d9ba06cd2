"""What each layer's attention and MLP adds to the answers' logits by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64

from acdc.analysis.direct import CONSTANT, DirectAttribution, direct_attribution
from acdc.analysis.named import check_setting
from acdc.analysis.result import Result, Table
from acdc.engine.setting import Setting


@dataclass(frozen=True)
class LayerAttribution(Result):
    """Direct logit attribution, the heads of each layer together.

    Attributes:
        parts: names of the rows in the order in which they write: the input nodes', then ``a{layer}`` (all heads of
            a layer) and ``m{layer}``, and ``constant``: what belongs to no node, output biases of attention included.
        right, wrong: what each adds to the logit of the best right and the best wrong answer, ``[part, prediction]``;
            the mean over all outputs stands for the latter where there are pairs without.
        direct: the same node by node.
    """

    title: ClassVar = "Layer attribution"

    parts: tuple[str, ...]
    right: Float64[np.ndarray, "part prediction"]
    wrong: Float64[np.ndarray, "part prediction"]
    direct: DirectAttribution

    @property
    def difference(self) -> Float64[np.ndarray, "part prediction"]:
        """What each adds to the logit difference."""
        return self.right - self.wrong

    def table(self) -> Table:
        """A row a part: means over the predictions, in logits, and their sum so far, which ends at the model's own."""
        difference, right, wrong = (each.mean(1) for each in (self.difference, self.right, self.wrong))
        columns = ("part", "difference", "so far", "right", self.direct.against)
        numbers = np.stack((difference, difference.cumsum(), right, wrong), 1)
        return Table(columns, [(name, *map(float, row)) for name, row in zip(self.parts, numbers, strict=True)])

    def figure(self, plt: Any) -> Any:
        """The mean difference by layer: attention, MLP, and the sum so far."""
        cfg, means = self.direct.graph.cfg, dict(zip(self.parts, self.difference.mean(1), strict=True))
        figure, axes = plt.subplots(figsize=(max(4.5, 0.16 * cfg.n_layers + 2), 2.8))
        layers = np.arange(cfg.n_layers)
        kinds = [("attention", "a", -0.2, "#2166ac")] + ([] if cfg.attn_only else [("MLP", "m", 0.2, "#e08214")])
        so_far = sum(mean for name, mean in means.items() if name[0] not in "am") + np.zeros(cfg.n_layers)
        for label, letter, aside, colour in kinds:
            values = np.array([means[f"{letter}{layer}"] for layer in layers])
            axes.bar(layers + aside, values, 0.4, color=colour, label=label)
            so_far += values.cumsum()
        axes.plot(layers, so_far, color="#555555", label="so far, with input and constants")
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set_xticks(layers[:: -(-cfg.n_layers // 16)])
        axes.set_xlabel("layer")
        axes.set_ylabel(f"right minus {self.direct.against}, logits")
        axes.set_title(f"{self.title}: {self.direct.total.mean():.3g} logits in all")
        axes.legend(fontsize=7)
        figure.tight_layout()
        return figure


def layer_attribution(setting: Setting) -> LayerAttribution:
    """What each layer's attention and MLP adds to the answers' logit difference through the final norm alone.

    These are sums of :func:`acdc.analysis.direct.direct_attribution` over the heads of each layer, and add up to the
    model's logit difference likewise. The sum so far is what a logit lens with the final norm's scale of the whole
    model would show at that place, but for the constants, which come last.

    Args:
        setting: model and prompts.

    Raises:
        SettingsError: as of :func:`acdc.analysis.direct.direct_attribution`.
    """
    check_setting(setting)
    direct = direct_attribution(setting)
    names = [f"a{node.layer}" if node.kind == "head" else node.name for node in direct.graph.sources]
    parts = tuple(dict.fromkeys(names))
    sums = np.array([[name == part for name in names] for part in parts], dtype=float)  # [part, n_sources]
    right, wrong = (
        np.concatenate((sums @ each, constant[None]))
        for each, constant in ((direct.right, direct.constant_right), (direct.wrong, direct.constant_wrong))
    )
    return LayerAttribution((*parts, CONSTANT), right, wrong, direct)
