"""Curves, completeness and hypothesis tests as tables for the terminal: 80 columns are enough."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich import box
from rich.padding import Padding
from rich.table import Table

from acdc.cli.terminal import Terminal
from acdc.comparison.areas import BAND, MIB_SHARES, mib_sizes
from acdc.evaluation.completeness import Completeness
from acdc.evaluation.curves import Curve, Family
from acdc.evaluation.intervals import Interval
from acdc.evaluation.judgement import HELD_OUT, Judgement
from acdc.evaluation.testing import LEVEL, HypothesisTests
from acdc.wording import counted, some, task_name

#: Nodes whose minimality is shown, the least; of random sets of nodes the one that shows most; edges that are named.
_MOST_NODES, _MOST_EDGES = 8, 8


def print_yardstick(out: Terminal, judgements: Iterable[Judgement]) -> None:
    """Print whatever was measured beside the behaviour of circuits."""
    curves = [(one, one.curve) for one in judgements if one.curve is not None]
    if len({one.circuit for one, _ in curves}) == 1:
        for one, curve in curves:
            out.print(_sizes(one, curve))
            out.print()
    if curves:
        out.print(_areas(curves))
        for one, curve in curves:
            if curve.doubt is not None:
                out.print(f"{_prompts(one)}: {curve.doubt}")
        out.print()
    for one in judgements:
        if one.completeness is not None:
            _print_completeness(out, one, one.completeness)
        if one.tests is not None:
            _print_tests(out, one, one.tests)


def _table(title: str, *headings: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="", box=box.SIMPLE, padding=(0, 1, 0, 0), show_edge=False
    )
    table.caption_justify = "left"
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", overflow="fold")
    return table


def _prompts(one: Judgement) -> str:
    which = "held out of" if one.which == HELD_OUT else f"{one.which} of"
    return f"{one.evaluation.n_prompts} {which} {task_name(one.task)}"


def _sizes(one: Judgement, curve: Curve) -> Table:
    """Faithfulness at MIB's sizes, the ways to choose edges side by side."""
    headings = [f"{name}\nedges" if what else "\nfaithful" for name in curve.families for what in (1, 0)]
    table = _table(f"{one.circuit}, {_prompts(one)}", "share of\nedges", "asked\nfor", *headings)
    known = [{point.asked: point for point in family.points} for family in curve.families.values()]
    for share, size in zip(MIB_SHARES, mib_sizes(curve.n_edges), strict=True):
        if not known:
            break
        cells = [cell for points in known for cell in (f"{points[size].n_edges:,}", _share(points[size].faithfulness))]
        table.add_row(f"{share:.1%}", f"{size:,}", *cells)
    table.caption = (
        f"faithfulness by {curve.metric}; edges are those on a path. Sizes at even steps of their logarithm count too "
        "and are in --csv, --json and --plot"
    )
    return table


def _areas(curves: list[tuple[Judgement, Curve]]) -> Table:
    """What curves amount to, a row a way to choose edges."""
    table = _table("areas", "", "CPR", "CMD", "log\narea", "log\ndistance", "smallest\nfaithful")
    several = len({one.circuit for one, _ in curves}) > 1
    for one, curve in curves:
        table.add_section()
        table.add_row(f"{one.circuit}, {_prompts(one)}" if several else _prompts(one))
        for name, family in curve.families.items():
            figures = (family.mib.cpr, family.mib.cmd, family.log.faithfulness, family.log.distance)
            table.add_row(f"  {name}", *(f"{figure:.3f}" for figure in figures), _smallest(family))
        if not curve.families:
            table.add_row("  not defined")
    by = " or ".join(dict.fromkeys(curve.metric for _, curve in curves))
    table.caption = (
        f"by {by}. CPR (of signed) and CMD (of absolute) as MIB computes them, with the full model; log area and log "
        "distance: means of f and |1-f| over log size on paths, without it; smallest faithful: edges of the smallest "
        f"circuit with f in [{BAND[0]:g}, {BAND[1]:g}], below it its 95 % interval over prompts"
    )
    return table


def _smallest(family: Family) -> str:
    """The size, with its interval below."""
    size = "none" if family.smallest is None else f"{family.smallest:,}"
    interval: Interval = family.smallest_interval
    if interval.why is not None:
        return size
    low, high = ("none" if end is None else f"{end:,.0f}" for end in (interval.low, interval.high))
    return f"{size}\n[{low}, {high}]"


def _share(value: float) -> str:
    return f"{round(value, 3) + 0.0:.1%}"  # no "-0.0%"


def _print_completeness(out: Terminal, one: Judgement, found: Completeness) -> None:
    """Sets of nodes that were taken out, then the nodes that are least missed."""
    table = _table(f"completeness of {one.circuit}, {_prompts(one)}", "taken out", "nodes", "circuit", "model", "apart")
    random = [knockout for knockout in found.knockouts if knockout.name.startswith("random ")]
    worst = max(random, key=lambda knockout: knockout.incompleteness)
    for knockout in found.knockouts:
        if knockout in random and knockout is not worst:
            continue
        name = f"worst of {len(random)} random" if knockout is worst else knockout.name
        figures = (knockout.circuit, knockout.model, knockout.incompleteness)
        table.add_row(name, f"{len(knockout.nodes)}", *(_figure(figure) for figure in figures))
    greedy = found.knockouts[-1].nodes
    table.caption = f"worse by {found.metric}; all edges ablated {_figure(found.behaviour)}; greedy: " + (
        some(greedy, len(greedy)) if greedy else "nothing sets them farther apart"
    )
    out.print(table)
    out.print()
    nodes = _table(f"the least missed of its {counted(len(found.minimality), 'node')}", "node")
    nodes.add_column(f"changes\n{found.metric} by", justify="right")
    nodes.add_column("after taking out", justify="left")
    for node in found.minimality[:_MOST_NODES]:
        nodes.add_row(node.node, _figure(node.value), node.without)
    out.print(nodes)
    out.print()


def _print_tests(out: Terminal, one: Judgement, found: HypothesisTests) -> None:
    """The tests of a circuit, then its superfluous edges."""
    table = _table(f"hypothesis tests of {one.circuit}, {_prompts(one)}", "hypothesis", "p", "speaks")
    table.columns[2].justify = "left"
    for test in found.tests:
        # What isn't rejected isn't shown either.
        speaks = f"{'' if test.rejected else 'not '}{'for' if test.for_the_circuit else 'against'} it"
        table.add_row(f"{test.name}: {test.hypothesis}\n  {test.said}", f"{test.p:.2g}", speaks)
    walks = f"random circuits are walks, of {counted(found.n_edges, 'edge')} too"
    table.caption = f"scores by {found.score}, rejected below p = {LEVEL:g}; {walks}"
    out.print(table)
    out.print(Padding("\n".join(_edges(found)), (0, 0, 1, 0)))


def _edges(found: HypothesisTests) -> Iterator[str]:
    """Minimality in sentences."""
    if not found.minimality:
        yield "minimality: no walk adds an edge to the circuit, so its edges can't be held against others."
        return
    names = found.superfluous
    if not names:
        yield f"minimality: none of its {counted(len(found.minimality), 'edge')} is superfluous (Holm's correction)."
        return
    yield (
        f"minimality: {len(names)} of its {counted(len(found.minimality), 'edge')} change it less than nine tenths "
        f"of edges that chance adds do (Holm's correction): {some(names, _MOST_EDGES)}."
    )


def _figure(value: float) -> str:
    return f"{round(value, 5) + 0.0:.4g}"  # no "-0", no rounding spelt out
