"""``python -m acdc``: the command ``acdc``."""

import os
import sys

# Python puts the working directory first, where anybody's torch.py may lie; the command doesn't look there. (These two
# modules are Python's own: it has them before it looks anywhere.)
if sys.path[:1] == [""] or sys.path[:1] == [os.getcwd()]:  # noqa: PTH109 - pathlib may still be anybody's
    del sys.path[0]

from acdc.cli.main import main

if __name__ == "__main__":
    main()
