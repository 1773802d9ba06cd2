"""The command line."""

import os
import sys

# An empty part of PYTHONPATH (`$PYTHONPATH:/more`, where it was unset) is the working directory, where anybody's
# click.py may lie; the command doesn't look there. (pathlib may be anybody's, too.)
if "" in os.environ.get("PYTHONPATH", "x").split(os.pathsep) and os.getcwd() in sys.path:  # noqa: PTH109
    sys.path.remove(os.getcwd())  # noqa: PTH109
