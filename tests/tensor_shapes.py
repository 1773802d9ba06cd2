"""While tests run, the shapes in annotations are checked at every call of the modules below."""

import random
import sys
import typing
from importlib.abc import MetaPathFinder
from unittest.mock import patch

from jaxtyping import install_import_hook

#: Not the reference engine: it refuses wrong masks itself, and tests hand it some.
SHAPED = [
    "acdc.engine.agreement",
    "acdc.engine.alone",
    "acdc.engine.circuits",
    "acdc.engine.contributions",
    "acdc.engine.fast.baseline",
    "acdc.engine.fast.changes",
    "acdc.engine.fast.heads",
    "acdc.engine.fast.mlps",
    "acdc.engine.fast.places",
    "acdc.engine.fast.present",
    "acdc.engine.fast.recomputing",
    "acdc.engine.fast.scores",
    "acdc.engine.fast.trial",
    "acdc.engine.gradients",
    "acdc.engine.setting",
    "acdc.engine.fast.side_by_side",
    "acdc.metrics",
    "acdc.models.attention",
    "acdc.models.backwards",
    "acdc.models.mlp",
    "acdc.models.model",
    "acdc.models.norms",
    "acdc.models.patched",
    "acdc.models.tokens",
]
#: What works without torch names tensors for annotations alone; here they are imported all the same.
LIGHT = "acdc.metrics"


class _WithTypes(MetaPathFinder):
    def __init__(self, checked):
        self._checked = checked

    def find_spec(self, name, path=None, target=None):
        if name != LIGHT:
            return None
        spec = self._checked.find_spec(name, path, target)
        run = spec.loader.exec_module

        def exec_module(module):
            import beartype  # noqa: F401 - what the module imports stands already, so that it alone is read so
            import torch  # noqa: F401

            import acdc.pairs  # noqa: F401

            with patch.object(typing, "TYPE_CHECKING", True):
                run(module)

        spec.loader.exec_module = exec_module
        return spec


def check_shapes():
    """Check them in whatever of these modules is imported from now on."""
    # Which item of a list is looked at is drawn; the numbers of those who call are not to be used up by it.
    with patch.object(random, "getrandbits", random.Random(0).getrandbits):
        import beartype._util.kind.integer.utilintget  # noqa: F401
    install_import_hook(SHAPED, "beartype.beartype")
    sys.meta_path.insert(0, _WithTypes(sys.meta_path[0]))
