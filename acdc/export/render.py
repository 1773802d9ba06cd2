"""DOT text to a picture, with the Graphviz inside pygraphviz or the one of the system.

Graphviz runs in a process of its own: it can be interrupted, its complaints are
caught, and a crash in it doesn't take a finished run along. That process knows nothing
of the working directory, in which anybody's files may lie: it starts in an empty folder,
imports only from where packages are installed, and is looked for only there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.machinery import PathFinder
from pathlib import Path

from acdc.errors import AcdcError

# 200 dots an inch, and at most 25 inches: a larger PNG is scaled down to 5,000 pixels a side.
_PNG = ("dpi=200", "size=25,25")

# pygraphviz carries Graphviz as a library without the `dot` command, so this stands in for it. Python's own modules
# come first on the path, then the folder that pygraphviz was found in, and nothing else.
_BUNDLED = """
import sys
sys.path.append(sys.argv[1])
import pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
graph.graph_attr.update(item.split("=") for item in sys.argv[3:])
sys.stdout.buffer.write(graph.draw(format=sys.argv[2], prog="nop2"))
"""
#: Say where programs and Graphviz' plugins lie; of no use, and a danger, where they are relative.
_PLACES = ("PATH", "GVBINDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LTDL_LIBRARY_PATH", "GV_FILE_PATH")
_INSTEAD = "choose the format dot, graphml, json or html-table"


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
    environment = _environment()
    if sys.executable and (packages := _packages_with("pygraphviz")):
        command = [sys.executable, "-I", "-S", "-c", _BUNDLED, packages, format, *attributes]
    elif system_dot := shutil.which("dot", path=environment.get("PATH", "")):
        command = [system_dot, "-Knop2", f"-T{format}", *(f"-G{attribute}" for attribute in attributes)]
    else:
        raise RenderError(f"a {format} needs Graphviz: run `pip install pygraphviz`, which carries it, or {_INSTEAD}.")
    try:
        with tempfile.TemporaryDirectory(prefix="acdc-render-") as empty:
            done = subprocess.run(
                command, input=dot.encode(), capture_output=True, check=False, cwd=empty, env=environment
            )
    except OSError as error:
        raise RenderError(f"Graphviz can't be started ({error.strerror}); {_INSTEAD}.") from error
    if done.returncode or not done.stdout:
        complaint = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise RenderError(f"Graphviz failed on the diagram ({complaint[-1]}); {_INSTEAD}.")
    return done.stdout


def _packages_with(name: str) -> str | None:
    """The folder with installed packages that has this one; the working directory is none."""
    spec = PathFinder.find_spec(name, [place for place in sys.path if _is_elsewhere(place)])
    if spec is None or spec.origin is None:
        return None
    found = Path(spec.origin).absolute()
    return str(found.parents[1] if spec.submodule_search_locations else found.parent)


def _environment() -> dict[str, str]:
    """The environment, in which no list of folders leads to the working directory."""
    environment = dict(os.environ)
    for name in _PLACES:
        places = environment.pop(name, "").split(os.pathsep)
        if kept := [place for place in places if _is_elsewhere(place)]:
            environment[name] = os.pathsep.join(kept)
    return environment


def _is_elsewhere(place: str) -> bool:
    """Whether a folder of a search path is named in full, and isn't the working directory by another name."""
    if not Path(place).is_absolute():
        return False
    try:
        return not Path(place).samefile(Path.cwd())
    except (OSError, ValueError):  # it doesn't exist: a zip file that does is no folder, and fine
        return True
