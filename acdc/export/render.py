"""DOT text to a picture, with the Graphviz inside pygraphviz or the one of the system.

Graphviz runs in a process of its own: it can be interrupted, its complaints are
caught, and a crash in it doesn't take a finished run along.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec

from acdc.errors import AcdcError

# 200 dots an inch, and at most 25 inches: a larger PNG is scaled down to 5,000 pixels a side.
_PNG = ("dpi=200", "size=25,25")

# pygraphviz carries Graphviz as a library without the `dot` command, so this stands in for it.
_BUNDLED = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
graph.graph_attr.update(item.split("=") for item in sys.argv[2:])
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="nop2"))
"""


class RenderError(AcdcError):
    """Graphviz is missing, or failed on a diagram."""


def render(dot: str, format: str) -> bytes:
    """Draw a diagram of :func:`acdc.export.diagram.to_dot`.

    Args:
        dot: the diagram; its positions are kept.
        format: ``svg``, ``png`` (200 dpi, at most 5,000 pixels a side) or ``pdf``.

    The same diagram gives the same bytes, but for the date inside a PDF.

    Raises:
        RenderError: there is no Graphviz, or it failed.
    """
    attributes = _PNG if format == "png" else ()
    if find_spec("pygraphviz"):
        command = [sys.executable, "-c", _BUNDLED, format, *attributes]
    elif system_dot := shutil.which("dot"):
        command = [system_dot, "-Knop2", f"-T{format}", *(f"-G{attribute}" for attribute in attributes)]
    else:
        raise RenderError(
            f"a {format} needs Graphviz: run `pip install pygraphviz`, which carries it, or choose "
            "the format dot, graphml, json or html-table."
        )
    done = subprocess.run(command, input=dot.encode(), capture_output=True, check=False)
    if done.returncode or not done.stdout:
        complaint = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise RenderError(
            f"Graphviz failed on the diagram ({complaint[-1]}); choose the format dot, graphml, json or html-table."
        )
    return done.stdout
