"""The engines by name."""

from __future__ import annotations

from collections.abc import Sequence

from acdc.engine.fast.engine import FastEngine
from acdc.engine.names import check_engine
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import Setting
from acdc.metrics import Metric
from acdc.models.model import Model
from acdc.pruning.protocol import Pruning


def engine_for(name: str, model: Model, freeze: Sequence[str] = ()) -> str:
    """The engine that runs a model where one is asked for: the reference where the fast one doesn't serve it.

    Args:
        name: the one asked for.
        model: the model.
        freeze: what of it is to be frozen.
    """
    check_engine(name)
    return "fast" if name == "fast" and not freeze and FastEngine.serves(model) else "reference"


def make_engine(name: str, setting: Setting, measure: Metric) -> Pruning:
    """The engine of that name, or the one that runs the model instead, see :func:`engine_for`; or that of its parts."""
    if setting.split is not None:
        return setting.split(measure)
    engine = {"fast": FastEngine, "reference": ReferenceEngine}[engine_for(name, setting.model)]
    return engine(setting, measure)
