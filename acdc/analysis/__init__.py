"""Fast looks at a model on a task, before and after pruning: what each part does, and why.

Each look is a function of a :class:`acdc.engine.setting.Setting` that gives back a
:class:`acdc.analysis.result.Result`: arrays, a table, a plot. All are computed by the engine's own node functions, so
that they agree with the circuits. Those of :data:`acdc.analysis.registry.ANALYSES` are what ``acdc analyse`` runs.

    >>> import acdc
    >>> from acdc.analysis import direct_attribution
    >>> setting = acdc.set_up("tiny-tasks", "ioi", n=4)
    >>> direct_attribution(setting).strongest(1)[0][0]
    'a0.h3'
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from acdc.analysis.detectors import head_detectors as head_detectors
    from acdc.analysis.detectors import labels as labels
    from acdc.analysis.direct import direct_attribution as direct_attribution
    from acdc.analysis.heads import head_attribution as head_attribution
    from acdc.analysis.layers import layer_attribution as layer_attribution
    from acdc.analysis.lens import logit_lens as logit_lens
    from acdc.analysis.looks import look_at as look_at
    from acdc.analysis.maps import activation_patching as activation_patching
    from acdc.analysis.ov import ov_summary as ov_summary
    from acdc.analysis.paths import patch_paths as patch_paths
    from acdc.analysis.patterns import attention_patterns as attention_patterns
    from acdc.analysis.qk import qk_summary as qk_summary
    from acdc.analysis.registry import ANALYSES as ANALYSES
    from acdc.analysis.result import Result as Result
    from acdc.analysis.result import Table as Table
    from acdc.analysis.tokens import token_attribution as token_attribution
    from acdc.analysis.transplanting import transplant as transplant
    from acdc.analysis.vocabulary import ov_vocabulary as ov_vocabulary
    from acdc.analysis.vocabulary import qk_vocabulary as qk_vocabulary

_PUBLIC = {
    "ANALYSES": "registry",
    "Result": "result",
    "Table": "result",
    "activation_patching": "maps",
    "attention_patterns": "patterns",
    "direct_attribution": "direct",
    "head_attribution": "heads",
    "head_detectors": "detectors",
    "labels": "detectors",
    "layer_attribution": "layers",
    "logit_lens": "lens",
    "look_at": "looks",
    "ov_summary": "ov",
    "ov_vocabulary": "vocabulary",
    "patch_paths": "paths",
    "qk_summary": "qk",
    "qk_vocabulary": "vocabulary",
    "token_attribution": "tokens",
    "transplant": "transplanting",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: who reads a table waits for no torch."""
    from importlib import import_module

    if name not in _PUBLIC:
        raise AttributeError(f"module 'acdc.analysis' has no attribute {name!r}")
    return getattr(import_module(f"acdc.analysis.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return __all__
