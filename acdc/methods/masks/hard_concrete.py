"""The hard concrete distribution of Louizos et al. 2018 (arXiv 1712.01312): numbers in [0, 1], often exactly 0 or 1.

With ``a`` the location (log alpha) and U uniform, ``s = sigmoid((log(U / (1 - U)) + a) / T)`` is stretched to
(-0.1, 1.1) and cut off: ``z = clip(1.2 s - 0.1, 0, 1)``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: T, and the ends that s is stretched to.
TEMPERATURE, LOW, HIGH = 2 / 3, -0.1, 1.1
#: P(z != 0) is the sigmoid of the location and this.
_SHIFT = -TEMPERATURE * math.log(-LOW / HIGH)


def drawn(location: Tensor, uniform: Tensor) -> Tensor:
    """z, of any shape, with a gradient to its location; `uniform` lies between 0 and 1."""
    s = torch.sigmoid((torch.logit(uniform) + location) / TEMPERATURE)
    return (s * (HIGH - LOW) + LOW).clamp(0, 1)


def alive(location: Tensor) -> Tensor:
    """P(z != 0): equation 12 of the paper."""
    return torch.sigmoid(location + _SHIFT)


def log_alive(location: Tensor) -> Tensor:
    """Its logarithm, which still tells apart what is 1 after rounding."""
    return torch.nn.functional.logsigmoid(location + _SHIFT)


def settled(location: Tensor) -> Tensor:
    """The mask without chance, equation 13 of the paper: at least 1/2 where the location is at least 0."""
    return (torch.sigmoid(location) * (HIGH - LOW) + LOW).clamp(0, 1)
