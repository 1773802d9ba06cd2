"""The engines by name."""

from __future__ import annotations

from acdc.engine.fast.engine import FastEngine
from acdc.engine.names import check_engine
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import Setting
from acdc.metrics import Metric
from acdc.models.model import Model
from acdc.pruning.protocol import Pruning


def engine_for(name: str, model: Model) -> str:
    """The engine that runs a model where one is asked for: the reference where the fast one doesn't serve it."""
    check_engine(name)
    return "fast" if name == "fast" and FastEngine.serves(model) else "reference"


def make_engine(name: str, setting: Setting, measure: Metric) -> Pruning:
    """The engine of that name, or the one that runs the model instead; see :func:`engine_for`."""
    engine = {"fast": FastEngine, "reference": ReferenceEngine}[engine_for(name, setting.model)]
    return engine(setting, measure)
