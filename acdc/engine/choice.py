"""The engines by name."""

from __future__ import annotations

from acdc.engine.base import Engine
from acdc.engine.fast import FastEngine
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import Setting
from acdc.errors import UnknownNameError
from acdc.metrics import Metric

ENGINES = ("fast", "reference")


def check_engine(name: str) -> None:
    """Raise :class:`UnknownNameError` unless there is such an engine."""
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)


def make_engine(name: str, setting: Setting, measure: Metric) -> Engine:
    """The engine of that name; the reference where the fast one doesn't serve the model."""
    check_engine(name)
    if name == "fast" and FastEngine.serves(setting.model):
        return FastEngine(setting, measure)
    return ReferenceEngine(setting, measure)
