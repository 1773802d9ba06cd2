"""acdc: automated circuit discovery for transformer language models.

Which parts of this transformer do this task?

    >>> import acdc
    >>> run = acdc.discover("tiny-tasks", "ioi", threshold=0.01, progress=False)  # or "gpt2", or a folder
    >>> run.circuit
    Circuit(56 of 1519 edges)
    >>> [edge.name for edge in run.circuit.strongest(2)]
    ['input->a0.h5<v>', 'input->a0.h1<v>']
    >>> run.circuit.save("circuit.json")

Graphs, circuits and exports work without torch; torch and transformer_lens are imported
when a model is opened.
"""

# No module is imported here that Python hasn't imported to start: `python -m acdc` reads this file while the working
# directory is still searched first.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from acdc import methods as methods
    from acdc import metrics as metrics
    from acdc import selection as selection
    from acdc.analysis.paths import patch_paths as patch_paths
    from acdc.analysis.transplanting import transplant as transplant
    from acdc.circuit import Circuit as Circuit
    from acdc.circuit import Provenance as Provenance
    from acdc.comparing import compare as compare
    from acdc.decision import Decision as Decision
    from acdc.discovery.analyse import analyse as analyse
    from acdc.discovery.discover import discover as discover
    from acdc.discovery.hidden_units import hidden_units as hidden_units
    from acdc.discovery.setting_up import prompts as prompts
    from acdc.discovery.setting_up import set_up as set_up
    from acdc.errors import AcdcError as AcdcError
    from acdc.errors import AcdcWarning as AcdcWarning
    from acdc.evaluation.evaluate import evaluate as evaluate
    from acdc.evaluation.task_check import check_task as check_task
    from acdc.export import export_circuit as export_circuit
    from acdc.graph import Graph as Graph
    from acdc.graph import GraphConfig as GraphConfig
    from acdc.interchange import open_circuit as open_circuit
    from acdc.models.loading import load_model as load_model
    from acdc.models.model import Model as Model
    from acdc.pairs import PromptPair as PromptPair
    from acdc.pairs import PromptSet as PromptSet
    from acdc.pairs.finding import find_task as find_task
    from acdc.pairs.looking import shown_pair as shown_pair
    from acdc.pairs.task import Task as Task
    from acdc.runs.run import Run as Run
    from acdc.sweeps.sweep import sweep as sweep
    from acdc.sweeps.swept import Sweep as Sweep
    from acdc.viewing import view as view

_PUBLIC = {
    "AcdcError": "acdc.errors",
    "AcdcWarning": "acdc.errors",
    "Circuit": "acdc.circuit",
    "Decision": "acdc.decision",
    "Graph": "acdc.graph",
    "GraphConfig": "acdc.graph",
    "Model": "acdc.models.model",
    "PromptPair": "acdc.pairs",
    "PromptSet": "acdc.pairs",
    "Provenance": "acdc.circuit",
    "Run": "acdc.runs.run",
    "Sweep": "acdc.sweeps.swept",
    "Task": "acdc.pairs.task",
    "analyse": "acdc.discovery.analyse",
    "check_task": "acdc.evaluation.task_check",
    "compare": "acdc.comparing",
    "discover": "acdc.discovery.discover",
    "evaluate": "acdc.evaluation.evaluate",
    "export_circuit": "acdc.export",
    "find_task": "acdc.pairs.finding",
    "hidden_units": "acdc.discovery.hidden_units",
    "load_model": "acdc.models.loading",
    "open_circuit": "acdc.interchange",
    "patch_paths": "acdc.analysis.paths",
    "prompts": "acdc.discovery.setting_up",
    "set_up": "acdc.discovery.setting_up",
    "shown_pair": "acdc.pairs.looking",
    "sweep": "acdc.sweeps.sweep",
    "transplant": "acdc.analysis.transplanting",
    "view": "acdc.viewing",
}
#: Rooms that a notebook looks into.
_ROOMS = ("methods", "metrics", "selection")
__all__ = sorted((*_PUBLIC, *_ROOMS))


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that what needs no model never waits for torch."""
    from importlib import import_module

    if name in _ROOMS:
        return import_module(f"acdc.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'acdc' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
