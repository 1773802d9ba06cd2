"""``acdc sweep plot``: pictures of a sweep."""

from __future__ import annotations

from pathlib import Path

import click

from acdc.cli.printing import say


@click.command(short_help="Pictures of a sweep.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--x", metavar="COLUMN", help="To the right: an axis, or a figure of the table.")
@click.option("--y", metavar="COLUMN", help="Upwards. Of two axes, a heat map of --hue.")
@click.option("--hue", metavar="COLUMN", help="What colours tell apart.  [default: methods, tasks or models]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the files; of one plot also a file, .png or .svg.  [default: FOLDER/plots]",
)
def plot(folder: Path, x: str | None, y: str | None, hue: str | None, out: Path | None) -> None:
    """Draw the sweep in FOLDER, as PNG and SVG: the plots that fit its axes, or one of two columns.

    Columns are those of FOLDER/table.csv; faithfulness, kl and others without more are those on
    held-out prompts. Cells that differ in their seed alone are one point, with its standard deviation.
    """
    from acdc.errors import SettingsError
    from acdc.sweeps.plots import FORMATS
    from acdc.sweeps.swept import Sweep

    swept = Sweep.load(folder)
    if out is not None and out.suffix.lower() in FORMATS:
        from acdc.cli.targets import check_free

        check_free(out, "--out")
    elif out is not None and out.is_file():
        raise SettingsError(f"{out} is a file that ends in none of {', '.join(FORMATS)}; give another with `out`.")
    for path in swept.plot(x, y, hue, out):
        say(path)
