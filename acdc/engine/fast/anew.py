"""The reference's numbers at a part of its cost: circuits from the beginning, of each only what its edges reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from acdc.engine.fast.side_by_side import SideBySide
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import Setting


class Anew(ReferenceEngine):
    """Runs circuits side by side, on models that the fast engine serves; it knows nothing of that one's cache."""

    def _runs(self, setting: Setting, masks: Sequence[np.ndarray]) -> Iterator[Float64[Tensor, "prediction n_outputs"]]:
        with torch.no_grad():
            found = [setting.model.logits(residual).double() for residual in SideBySide(setting).residuals(masks)]
        return iter(found)
