"""Hidden units of MLPs: what is between an MLP's two products, as a mask on what the MLP writes.

An MLP writes ``W_out h + b_out`` (normed, where a norm is behind it), with a number h_j for each hidden unit j at each
position. Hidden units are no nodes of the graph: a mask says which of them keep their value while any circuit of edges
is run. They are also no "neurons" as EAP-IG and MIB have them, which are dimensions of what any node writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.engine.ablations import ABLATIONS
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.models.mlp import NormedMlp
from acdc.models.model import Model
from acdc.models.patched import Mlp
from acdc.models.tokens import Tokens


def plain_mlps(model: Model) -> list[NormedMlp]:
    """The MLPs of a model, each as its weights.

    Raises:
        SettingsError: there are none, one is no plain MLP, or they differ in width.
    """
    cfg = model.graph_config
    if cfg.attn_only:
        raise SettingsError(f"{model.name} has no MLPs, so it has no hidden units.")
    found = []
    for layer in range(cfg.n_layers):
        if (plain := model.plain_mlp(layer)) is None:
            raise SettingsError(
                f"the MLP of layer {layer} of {model.name} isn't plain (experts, or a module that acdc doesn't read "
                "as weights and an activation), so its hidden units can't be told apart; choose among edges or nodes."
            )
        found.append(plain)
    if len(widths := sorted({one.plain.W_out.shape[0] for one in found})) > 1:
        raise SettingsError(
            f"the MLPs of {model.name} have different numbers of hidden units ({widths[0]} to {widths[-1]}), and a "
            "mask has as many in each layer; choose among edges or nodes."
        )
    return found


def hidden(mlp: NormedMlp, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_mlp"]:
    """The hidden units of an MLP, given its residual input."""
    return mlp.plain.hidden(mlp.before(x.flatten(0, 1))).view(*x.shape[:-1], -1)


def written(mlp: NormedMlp, units: Float[Tensor, "batch pos d_mlp"]) -> Float[Tensor, "batch pos d_model"]:
    """What an MLP writes, given its hidden units."""
    return mlp.finish(mlp.plain.written(units.flatten(0, 1))).view(*units.shape[:-1], -1)


def residual_stream(
    model: Model, tokens: Tokens, inputs: Float[Tensor, "n_inputs batch pos d_model"], mlp: Mlp
) -> Float[Tensor, "batch pos d_model"]:
    """The last residual of the whole model, with other MLPs; nothing is written in place, so that gradients pass."""
    cfg, x = model.graph_config, inputs.sum(0)
    for layer in range(cfg.n_layers):
        before, same = x, x.expand(cfg.n_heads, *x.shape)
        heads, rest = model.heads(layer, same, same, same, tokens)
        x = x + heads.sum(0) if rest is None else x + heads.sum(0) + rest
        x = x + mlp(layer, before if cfg.parallel_attn_mlp else x)
    return x


class UnitValues:
    """What each hidden unit is on a setting's clean prompts, and what it carries where it is ablated.

    Both are computed anew for each chunk of prompts, a run of the model; where all prompts are one chunk they are kept.

    Attributes:
        mlps: the model's MLPs.
    """

    @torch.no_grad()
    def __init__(self, setting: Setting) -> None:
        """Raises :class:`SettingsError` as :func:`plain_mlps` does."""
        self.mlps = plain_mlps(setting.model)
        self._setting = setting
        self._corrupted = Tokens.of([pair.corrupted for pair in setting.prompts.pairs], setting.model.device)
        self._ablation = ABLATIONS[setting.ablation]()
        self._held: dict[str, Tensor] = {}
        if not self._ablation.is_corrupted_run:
            for rows in setting.contributions.chunks:
                self._ablation.see_clean(self.clean(rows), setting.tokens[rows].filled)

    def clean(self, rows: slice) -> Float[Tensor, "n_layers prompt pos d_mlp"]:
        """The hidden units on some of the clean prompts."""
        return self._once("clean", lambda: self._run(self._setting.tokens[rows]))

    def ablated(self, rows: slice) -> Float[Tensor, "n_layers prompt pos d_mlp"]:
        """What ablated hidden units carry on some of the prompts: as what removed edges carry, unit by unit."""
        setting = self._setting
        found = self._ablation.values(lambda: self._once("corrupted", lambda: self._run(self._corrupted[rows])))
        width = self.mlps[0].plain.W_out.shape[0]
        positions = setting.contributions.inputs.shape[2]
        return found.expand(len(self.mlps), rows.stop - rows.start, positions, width)

    def _once(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        if name in self._held:
            return self._held[name]
        made = make()
        if len(self._setting.contributions.chunks) == 1:
            self._held[name] = made
        return made

    @torch.no_grad()
    def _run(self, tokens: Tokens) -> Float[Tensor, "n_layers prompt pos d_mlp"]:
        model, seen = self._setting.model, []

        def mlp(layer: int, x: Tensor) -> Tensor:
            seen.append(hidden(self.mlps[layer], x))
            return written(self.mlps[layer], seen[-1])

        residual_stream(model, tokens, model.embed(tokens, split=self._setting.graph.cfg.split_input), mlp)
        return torch.stack(seen)


class MaskedMlps:
    """The MLPs of a setting's model, with some of their hidden units ablated.

    An ablated unit is the corrupted run's at that very position, 0 or its mean, as the setting's ablation is. Output
    biases stay: with every unit ablated and no norm behind it, an MLP writes what its removed edges carry under
    ``corrupted`` and ``mean``, and its output bias under ``zero``.
    """

    def __init__(self, setting: Setting, mask: Any) -> None:
        """Take a mask of a setting's model.

        Args:
            setting: model, prompts and ablation.
            mask: ``[n_layers, d_mlp]`` bool, the hidden units that stay.

        Raises:
            SettingsError: the model has no such hidden units.
        """
        self._model, self._values = setting.model, UnitValues(setting)
        self._mask = torch.from_numpy(checked_mask(setting.model, mask)).to(setting.model.device)

    def on(self, rows: slice) -> Mlp:
        """The MLPs as they run on some of the prompts."""
        mlps, whole = self._values.mlps, self._mask.all(1).tolist()
        ablated = self._values.ablated(rows) if not all(whole) else None

        def mlp(layer: int, x: Tensor) -> Tensor:
            if ablated is None or whole[layer]:
                return self._model.mlp(layer, x)
            return written(mlps[layer], torch.where(self._mask[layer], hidden(mlps[layer], x), ablated[layer]))

        return mlp


def checked_mask(model: Model, mask: Any) -> Bool[np.ndarray, "n_layers d_mlp"]:
    """A mask of a model's hidden units, copied. Raises :class:`SettingsError`."""
    mlps = plain_mlps(model)
    shape = len(mlps), int(mlps[0].plain.W_out.shape[0])
    if not isinstance(mask, np.ndarray):
        got = f"a {type(mask).__name__}"
    elif mask.shape != shape or mask.dtype != bool:
        got = f"{mask.dtype} of shape {mask.shape}"
    else:
        return np.array(mask)
    raise SettingsError(
        f"hidden units of {model.name} are chosen by a boolean array of shape {shape}, a row a layer, not by {got}."
    )
