"""Attribution of hidden units: the estimated rise of the metric when one of an MLP's hidden units is ablated."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from acdc.asked import whole
from acdc.engine.hidden_units import UnitValues, residual_stream
from acdc.engine.setting import Setting
from acdc.methods.attribution import STEPS, input_at
from acdc.methods.base import Log
from acdc.methods.choices import check_steps
from acdc.metrics import Metric
from acdc.models.mlp import NormedMlp
from acdc.models.torchstate import own_torch_state


@own_torch_state()
def hidden_unit_attribution(
    setting: Setting, measure: Metric, log: Log | None = None, *, steps: int = STEPS
) -> np.ndarray:
    """Estimate what ablating each hidden unit of the whole model costs.

    The score of a unit is its change, ablated less clean, times the gradient of the metric at it, which is that at
    what its MLP writes (through a norm behind it, where there is one) times the unit's row of ``W_out``: summed over
    positions, averaged over predictions, and over `steps` inputs from the ablated to the clean one as in EAP-IG (Hanna
    et al. 2024, arXiv 2403.17806). Where no norm follows and the change of what the MLP writes is that of its units
    (``corrupted`` and ``mean`` ablation), the scores of a layer's units add up to the attribution of its MLP.

    Args:
        setting: model, prompts and cached values.
        measure: the metric.
        log: is told of every gradient.
        steps: points on the way from the ablated to the clean input, which is left out.

    Returns:
        ``[n_layers, d_mlp]`` float64; positive where ablation is expected to raise the metric.

    Raises:
        SettingsError: `steps` isn't a whole number or makes no sense, or the model's MLPs aren't plain.
    """
    check_steps(steps := whole("steps", steps))
    values, given, log = UnitValues(setting), setting.contributions, log or Log()
    scores = np.zeros((len(values.mlps), values.mlps[0].plain.W_out.shape[0]))
    log.begin(len(given.chunks) * steps, "gradient")
    for number, rows in enumerate(given.chunks):
        change = values.ablated(rows) - values.clean(rows)  # [n_layers, prompt, pos, d_mlp]
        inputs_at = input_at(setting, rows, given.ablated(rows))

        def take(layer: int, x: Tensor, gradient: Tensor, change: Tensor = change) -> None:
            at_units = _at_units(values.mlps[layer], x, gradient)
            scores[layer] += torch.einsum("bpj,bpj->j", at_units, change[layer]).double().cpu().numpy() / steps

        def mlp(layer: int, x: Tensor) -> Tensor:
            y = setting.model.mlp(layer, x)
            y.register_hook(partial(take, layer, x.detach()))
            return y

        for step in range(steps):
            inputs = inputs_at(step / steps).detach().requires_grad_()
            scored = setting.scored(rows)
            with torch.enable_grad():
                residual = residual_stream(setting.model, setting.tokens[rows], inputs, mlp)
                found = measure.per_prediction(
                    setting.predictions(residual, rows), setting.model_logits[scored], setting.answers[scored]
                )
                (found.sum() / len(setting.rows)).backward(inputs=[inputs])
            log.at(number * steps + step + 1)
    return scores


def _at_units(mlp: NormedMlp, x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient at an MLP's hidden units, ``[batch, pos, d_mlp]``, from that at what it writes; `x` is its input."""
    gradient = gradient.flatten(0, 1)
    if mlp.after.kind == "none":
        gradient = mlp.multiplier * gradient
    else:
        with torch.no_grad():
            plain = mlp.plain(mlp.before(x.flatten(0, 1)))
        with torch.enable_grad():
            plain.requires_grad_()
            (gradient,) = torch.autograd.grad(mlp.finish(plain), plain, gradient)
    return (gradient @ mlp.plain.W_out.T).view(*x.shape[:-1], -1)
