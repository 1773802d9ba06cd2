"""Names of what a model computes at a position: nodes, slots, and the residual stream between layers.

=================  ==================================================  =====================================
name               what it is                                          TransformerLens' hook
=================  ==================================================  =====================================
``residual3``      the residual stream in front of layer 3             ``blocks.3.hook_resid_pre``
``residual12``     of a model of 12 layers, behind the last one        ``blocks.11.hook_resid_post``
``input``          the same as ``residual0``                           ``blocks.0.hook_resid_pre``
``attention3``     what all heads of layer 3 write, and its bias       ``blocks.3.hook_attn_out``
``a3.h2``          what one head writes                                ``blocks.3.attn.hook_z``, a head of it
``a3.h2<q>``       what its query slot reads; ``<k>``, ``<v>`` too     ``blocks.3.attn.hook_q``, a head of it
``m3``             what an MLP writes                                  ``blocks.3.hook_mlp_out``
=================  ==================================================  =====================================

Where a norm stands behind the sum of the heads (Gemma 2 and 3, OLMo-2), a head's part is its share of the normed sum.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from acdc.errors import SettingsError, UnknownNameError
from acdc.graph import Graph, GraphConfig
from acdc.wording import quoted

_NAME = re.compile(r"(residual|attention|a|m)(\d{1,9})(?:\.h(\d{1,9}))?(?:<([qkv])>)?", re.ASCII)


@dataclass(frozen=True)
class Activation:
    """What a model computes at every position.

    Attributes:
        kind: ``residual``, ``attention``, ``heads``, ``mlps``, or ``q``, ``k``, ``v`` for a head's slots.
        layer: its layer; the number of layers for the residual stream behind the last.
        head: of a head or its slot.
    """

    kind: str
    layer: int
    head: int | None = None

    @property
    def name(self) -> str:
        """``residual3``, ``attention3``, ``a3.h2``, ``a3.h2<q>`` or ``m3``."""
        if self.kind in ("residual", "attention"):
            return f"{self.kind}{self.layer}"
        if self.kind == "mlps":
            return f"m{self.layer}"
        return f"a{self.layer}.h{self.head}" + ("" if self.kind == "heads" else f"<{self.kind}>")


def activations(cfg: GraphConfig, kind: str) -> list[Activation]:
    """All of a kind, in order; none where the model has none."""
    if kind == "mlps" and cfg.attn_only:
        return []
    layers = range(cfg.n_layers + (kind == "residual"))
    heads = range(cfg.n_heads) if kind in ("heads", "q", "k", "v") else (None,)
    return [Activation(kind, layer, head) for layer in layers for head in heads]


def find_activation(cfg: GraphConfig, name: str) -> Activation:
    """The activation of a name.

    Raises:
        SettingsError: a layer or a head that the model doesn't have; says which it has.
        UnknownNameError: no such name; says the nearest.
    """
    if name == "input":
        return Activation("residual", 0)
    found = _NAME.fullmatch(name)
    start, has_head, letter = ("", False, "") if found is None else (found[1], found[3] is not None, found[4])
    if found is None or has_head != (start == "a") or (letter and start != "a"):
        raise UnknownNameError("activation", name, _names(cfg))
    layer, last = int(found[2]), cfg.n_layers - (start != "residual")
    if start == "m" and cfg.attn_only:
        raise SettingsError(f"{quoted(name)}: this model has no MLPs.")
    if layer > last:
        raise SettingsError(f"{quoted(name)}: this model has {start}0 to {start}{last}; give one of these layers.")
    if start != "a":
        return Activation({"m": "mlps"}.get(start, start), layer)
    if (head := int(found[3])) >= cfg.n_heads:
        raise SettingsError(
            f"{quoted(name)}: layer {layer} has the heads a{layer}.h0 to a{layer}.h{cfg.n_heads - 1}; give one of them."
        )
    return Activation(letter or "heads", layer, head)


def _names(cfg: GraphConfig) -> list[str]:
    own = [each.name for kind in ("residual", "attention") for each in activations(cfg, kind)]
    graph = Graph(cfg)
    return own + [node.name for node in graph.sources] + [slot.name for slot in graph.slots if slot.letter]
