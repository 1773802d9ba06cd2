"""Does ACDC find circuits that are known? A run on every planted model, and a sweep over thresholds on generated ones.

    python benchmarks/planted.py --out out/planted

Needs matplotlib (the extra ``benchmarks``). Interrupted, the same command goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from plots import check_matplotlib, save, styled
from sweep_rows import finished

import acdc
from acdc.cli.main import main
from acdc.cli.printing import say
from acdc.errors import SettingsError, UnknownNameError
from acdc.files import atomic_write
from acdc.planted import Parameters, planted, planted_names
from acdc.sweeps.grid import Grid

#: Tens, hundreds and thousands of true edges.
SIZES = {
    "small": Parameters(layers=4, heads=4, width=64, edges=40),
    "middle": Parameters(layers=6, heads=8, width=128, edges=300),
    "large": Parameters(layers=12, heads=12, width=192, edges=2000),
}
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


@dataclass(frozen=True)
class Curve:
    """What a sweep over thresholds found of one generated model's circuit."""

    size: str
    parameters: Parameters
    rows: Sequence[Mapping[str, Any]]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--sizes", default=",".join(SIZES), show_default=True, help="Of generated models; none: leave them out.")
@click.option("--noise", default="0,0.01,0.05", show_default=True, help="Of generated models.")
@click.option(
    "--thresholds", default="0.0001,0.0003,0.001,0.003,0.01", show_default=True, help="For each of them, in KL."
)
@click.option("--n", default=20, type=click.IntRange(min=1), show_default=True, help="Prompt pairs for each of them.")
@click.option("--seed", default=0, type=click.IntRange(min=0), show_default=True, help="Of generated models.")
@click.option("--jobs", type=click.IntRange(min=0), help="Processes; 0: in this one.  [default: as many as fit]")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write, or to go on with.")
def command(sizes: str, noise: str, thresholds: str, n: int, seed: int, jobs: int | None, out: Path) -> None:
    """Recover planted circuits, and write planted.md and a plot.

    An interrupted benchmark goes on with the same command; runs that ended aren't repeated.
    """
    check_matplotlib()
    chosen = [
        (size, replace(SIZES[size], seed=seed, noise=loudness)) for size in _sizes(sizes) for loudness in _noises(noise)
    ]
    grids = [Grid.of(_axes(parameters, thresholds, n)) for _, parameters in chosen]  # all are checked before any runs
    lines = list(by_hand(out))
    curves: list[Curve] = []
    for (size, parameters), grid in zip(chosen, grids, strict=True):
        # Without a reference, the cells of a planted model are held against its own edges.
        curves.append(Curve(size, parameters, finished(acdc.sweep(grid, out=out / parameters.name, jobs=jobs))))
        _write(out / "planted.md", [*lines, "", *table(curves)])
    _write(out / "planted.md", [*lines, "", *table(curves)])
    say(out / "planted.md")
    if curves:
        for path in draw(curves, out):
            say(path)


def _axes(parameters: Parameters, thresholds: str, n: int) -> dict[str, Any]:
    """Of the sweep over one generated model."""
    model = planted(parameters.name)
    return {"model": model.name, "task": model.task, "device": "cpu", "n": n, "threshold": thresholds}


def _sizes(text: str) -> list[str]:
    """Names of :data:`SIZES`. Raises :class:`UnknownNameError`."""
    names = [] if text == "none" else text.split(",")
    for name in names:
        if name not in SIZES:
            raise UnknownNameError("size", name, [*SIZES, "none"])
    return names


def _noises(text: str) -> list[float]:
    """Numbers of at least 0 with commas between them. Raises :class:`SettingsError`."""
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        values = [-1.0]
    if not all(0 <= value < 100 for value in values):
        raise SettingsError(f"--noise takes numbers from 0 up with commas between them, got {text!r}.")
    return values


def by_hand(out: Path) -> Iterable[str]:
    """A Markdown table of the models written by hand: whether ACDC finds their edges, with their own settings."""
    yield "| model | task | corruption | metric | threshold | edges | true | found | recovered |"
    yield "|---|---|---|---|--:|--:|--:|--:|---|"
    for name in planted_names():
        model = planted(name)
        about = model.settings
        run = acdc.discover(
            name,
            about.task,
            corruption=about.corruption,
            metric=about.metric,
            ablation=about.ablation,
            threshold=about.threshold,
            n=about.n,
            device="cpu",
            out=out / name,
            resume=True,
            progress=False,
        )
        found = {edge.name for edge in run.circuit.edges()}
        said = ("the known part" if model.branches else "exactly") if model.recovered_by(found) else "no"
        yield (
            f"| `{name}` | `{about.task}` | {about.corruption} | {about.metric} | {about.threshold:g} | "
            f"{model.graph.n_edges} | {len(model.edges)} | {len(found)} | {said} |"
        )


def table(curves: Iterable[Curve]) -> Iterable[str]:
    """A Markdown table of the generated models, a line a run."""
    yield "| size | true edges | of | noise | threshold | kept | precision | recall | seconds |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for curve in curves:
        for row in curve.rows:
            yield (
                f"| {curve.size} | {curve.parameters.edges:,} | {row['edges_all']:,} | {curve.parameters.noise:g} | "
                f"{row['threshold']:g} | {row['edges']:,} | {_share(row['precision'])} | {_share(row['recall'])} | "
                f"{row['seconds']:.1f} |"
            )


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def draw(curves: Sequence[Curve], folder: Path) -> list[Path]:
    """Precision against recall, a line a generated model, a point a threshold; gives the files written."""
    noises = sorted({curve.parameters.noise for curve in curves})
    sizes = list(dict.fromkeys(curve.size for curve in curves))
    with styled() as plt:
        figure, row = plt.subplots(1, len(sizes), figsize=(7, 2.8), layout="constrained", squeeze=False, sharey=True)
        for axes, size in zip(row[0], sizes, strict=True):
            for curve in curves:
                if curve.size == size:
                    points = [(point["recall"], point["precision"]) for point in curve.rows]
                    color = _COLOURS[noises.index(curve.parameters.noise) % len(_COLOURS)]
                    axes.plot(*zip(*points, strict=True), "o-", color=color, label=f"noise {curve.parameters.noise:g}")
            axes.set(title=size, xlabel="recall", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        row[0][0].set_ylabel("precision")
        row[0][0].legend(loc="lower left")
        figure.suptitle("True edges that ACDC finds in generated models, at several thresholds", fontsize=8)
        written = save(figure, folder, "planted")
        plt.close(figure)
    return written


def _write(path: Path, lines: Iterable[str]) -> None:
    with atomic_write(path) as file:
        file.write("\n".join(lines) + "\n")


def run() -> None:
    """Run the command and end the process, as ``acdc`` does."""
    main(command, "planted", interrupted="interrupted; the same command goes on.")


if __name__ == "__main__":
    run()
