"""What circuits do on prompts, as tables for the terminal: 80 columns are enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from acdc.cli.evaluation_matrix import matrix
from acdc.cli.printing import as_options
from acdc.cli.terminal import Terminal
from acdc.cli.yardstick_tables import print_yardstick
from acdc.evaluation.intervals import Interval
from acdc.evaluation.judgement import Judgement, WorstPrompt
from acdc.evaluation.report import Report
from acdc.evaluation.verdicts import Verdict, by_task
from acdc.results import QUANTITIES
from acdc.wording import quoted, task_name

#: Groups of a kind that are shown, the worst ones; of fewer prompts a share of behaviour is noise.
_MOST_GROUPS, _FEWEST_PROMPTS = 8, 5
#: Tokens of a prompt that are shown, up to the prediction; of a token so many characters.
_MOST_TOKENS, _MOST_CHARACTERS = 60, 16
#: Columns, where the output is no terminal.
_WIDTH = 80
#: Characters of the first column; what is longer goes on below.
_MOST_LABEL = 22


def print_report(report: Report, *, groups: bool) -> None:
    """Print all judgements in one table, then what is known of their prompts.

    Args:
        report: the judgements.
        groups: show the figures of each kind of prompts too.
    """
    out = Terminal(_WIDTH)
    several = len({one.circuit for one in report}) > 1
    together = by_task(report)
    if (overview := matrix(together)) is not None:
        out.print(overview)
        out.print()
    by_columns: dict[tuple[str | None, ...], list[Judgement]] = {}
    for one in report:
        by_columns.setdefault(_columns_key(one), []).append(one)
    for alike in by_columns.values():
        out.print(_table(alike, several=several))
    for group in together:
        one = group[-1]  # of used and held-out prompts, the latter tell more
        if groups:
            for kind in one.kinds:
                out.print(_groups_table(one, kind))
        for number, worst in enumerate(one.worst, 1):
            _print_worst(out, one, number, worst, f"{one.circuit}, " if several else "")
    print_yardstick(out, report)
    _print_verdicts(out, report.verdict)


def _columns_key(one: Judgement) -> tuple[str | None, ...]:
    return one.metric, one.evaluation.faithfulness_metric, one.ablation, ",".join(one.freeze), one.convention, one.model


def _prompts_key(one: Judgement) -> tuple[object, ...]:
    """Equal where the model, and with every edge ablated, does the same: on equal prompts with equal answers."""
    states = (one.evaluation.model, one.evaluation.ablated)
    means = tuple(None if mean is None else f"{mean:.4g}" for state in states for mean in map(state.mean, QUANTITIES))
    return one.task, tuple((prompt.clean, prompt.corrupted) for prompt in one.prompts), means


def _table(judgements: Sequence[Judgement], *, several: bool) -> Table:
    """States by figures, a section for each set of prompts; an interval stands below its mean."""
    first = judgements[0]
    title = Text.assemble((first.model, "bold"), f", {first.ablation} ablation")
    if first.freeze:
        title.append(f", frozen {' and '.join(first.freeze)}")
    if not several:
        title = Text.assemble((first.circuit, "bold"), f": {first.n_edges} of {first.of_edges} edges of ", title)
    table = Table(
        title=title, title_justify="left", title_style="", box=box.SIMPLE, padding=(0, 1, 0, 0), show_edge=False
    )
    table.add_column("", overflow="fold", max_width=_MOST_LABEL)
    divided = " / vocab" if first.convention != "acdc" and first.metric == "kl" else ""
    share = first.evaluation.faithfulness_metric
    for heading in (
        f"worse by\n{first.metric}{divided}",
        "right",
        "top-1\nright",
        "logit\ndiff",
        f"faithful by\n{share}",
    ):
        table.add_column(heading, justify="right")
    by_prompts: dict[tuple[object, ...], list[Judgement]] = {}
    for one in judgements:
        by_prompts.setdefault(_prompts_key(one), []).append(one)
    notes = []
    for together in by_prompts.values():
        # Those that one circuit was found on may be any to another.
        one = next((one for one in together if one.which in ("train", "test")), together[0])
        table.add_section()
        table.add_row(Text(f"{one.evaluation.n_prompts} {_which(one)}", style="bold"))
        table.add_row("model", *_cells(one, "model"))
        for other in together:
            table.add_row(f"{other.circuit} ({other.n_edges})" if several else "circuit", *_cells(other, "circuit"))
            table.add_row("  its complement" if several else "complement", *_cells(other, "complement"))
        table.add_row("all ablated", *_cells(one, "ablated"))
        table.add_row("corrupted", *_cells(one, "corrupted"))
        notes += [f"no interval: {why}" for other in together if (why := _why_none(other)) is not None]
    notes.insert(0, "below a mean its 95 % interval (bootstrap over prompts)")
    table.caption = "; ".join(dict.fromkeys(notes))
    table.caption_justify = "left"
    return table


def _plain_table(title: str | Text) -> Table:
    """A table without borders, which leaves room for figures."""
    return Table(
        title=title, title_justify="left", title_style="", box=box.SIMPLE, padding=(0, 1, 0, 0), show_edge=False
    )


def _why_none(one: Judgement) -> str | None:
    """Why a circuit's figures lack an interval, if one does."""
    found = one.intervals.of("circuit", one.metric), one.intervals.of_faithfulness()
    return next((interval.why for interval in found if interval.why is not None), None)


def _which(one: Judgement) -> str:
    """Which prompts they are; of a file its name alone."""
    task = task_name(one.task)
    if one.which == "used":
        return f"used of {task}"
    return f"held out, {task}" if one.which == "held out" else f"of {task}, {one.which}"


def _cells(one: Judgement, state: str) -> Iterator[str]:
    """The figures of a state."""
    found, intervals = one.evaluation.states.get(state), one.intervals
    if found is None:
        return
    yield _cell(f"{found.metrics[one.metric]:.4g}", intervals.of(state, one.metric), "{:.2g}")
    for name in ("accuracy", "top1"):
        mean = found.mean(name)
        yield "" if mean is None else _cell(f"{mean:.1%}", intervals.of(state, name), "{:.0%}")
    difference = found.logit_difference
    yield "" if difference is None else _cell(f"{difference:.3g}", intervals.of(state, "logit_difference"), "{:.2g}")
    share = one.evaluation.share(state)
    if share is None:
        yield "not defined"
    else:
        yield _cell(f"{round(share, 3) + 0.0:.1%}", intervals.of_faithfulness(state), "{:.0%}")  # no "-0.0%"


def _cell(mean: str, interval: Interval, form: str) -> str:
    if interval.low is None or interval.high is None:
        return mean
    low, high = (form.format(end + 0.0 if round(end, 2) else abs(end)) for end in (interval.low, interval.high))
    return f"{mean}\n[{low}, {high}]"


def _groups_table(one: Judgement, kind: str) -> Table:
    """A judgement's figures for each group of its prompts, the worst first."""
    groups = one.groups(kind)
    table = _plain_table(f"by {kind}, {one.evaluation.n_prompts} {_which(one)}")
    table.add_column(kind, overflow="fold", ratio=1)
    for heading in ("prompts", f"worse by\n{one.metric}", "right", "model\nright", "faithful"):
        table.add_column(heading, justify="right")
    shown, notes = list(groups.items())[:_MOST_GROUPS], []
    for label, part in shown:
        rights = ["" if found.accuracy is None else f"{found.accuracy:.0%}" for found in (part.circuit, part.model)]
        share = "not defined" if part.faithfulness is None else f"{part.faithfulness:.0%}"
        share = "" if part.n_prompts < _FEWEST_PROMPTS else share
        table.add_row(label, str(part.n_prompts), f"{part.circuit.metrics[one.metric]:.4g}", *rights, share)
    if len(groups) > _MOST_GROUPS:
        notes.append(f"and {len(groups) - _MOST_GROUPS} more, on which it is nearer to the model")
    if any(part.n_prompts < _FEWEST_PROMPTS for _, part in shown):
        notes.append(f"no faithfulness on fewer than {_FEWEST_PROMPTS} prompts, where it is noise")
    table.caption, table.caption_justify = "; ".join(notes) or None, "left"
    return table


def _print_worst(out: Terminal, one: Judgement, number: int, worst: WorstPrompt, whose: str) -> None:
    """A prompt, clean over corrupted, and what model and circuit would say."""
    prompt = one.prompts[worst.prompt]
    what = "worst" if number == 1 else f"worst but {number - 1}"
    out.print(
        Text.assemble(
            (f"{whose}{what} of the {one.evaluation.n_prompts} {_which(one)}", "bold"),
            f": {prompt.where}, {one.metric} {worst.value:.4g}",
        )
    )
    for line in _aligned(worst):
        out.print(line)
    if worst.right:
        wrong = f"; wrong {' or '.join(map(quoted, worst.wrong[:3]))}" if worst.wrong else ""
        out.print(f"  right {' or '.join(map(quoted, worst.right[:3]))}{wrong}")
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    for heading in ("  model says", "", "circuit says", ""):
        table.add_column(heading, justify="left" if heading else "right")
    for (said, share), (other, part) in zip(worst.model, worst.circuit, strict=True):
        table.add_row(f"  {quoted(said)}", f"{share:.1%}", quoted(other), f"{part:.1%}")
    out.print(table)


def _print_verdicts(out: Terminal, verdicts: Sequence[Verdict]) -> None:
    """The sentences on each circuit and task; which that is, where there are several."""
    for one in verdicts:
        if len(verdicts) > 1:
            out.print(Text.assemble((one.circuit, "bold"), " on ", (task_name(one.task), "bold"), ":"))
        for sentence in one.sentences:
            out.print(as_options(sentence))


def _aligned(worst: WorstPrompt) -> Iterator[Text]:
    """Clean tokens over corrupted ones, token over token, up to the prediction; those that differ stand out."""
    start = max(0, worst.position + 1 - _MOST_TOKENS)
    lines = [Text("  "), Text("  ")]
    if start:
        lines = [Text("  [...]"), Text("  [...]")]
    for pair in worst.tokens[start : worst.position + 1]:
        cells = [_short(token) for token in pair]
        width = max(map(len, cells)) + 1
        if len(lines[0]) + width > _WIDTH - 2:
            yield from lines
            lines = [Text("  "), Text("  ")]
        for line, cell in zip(lines, cells, strict=True):
            line.append(f"{cell:{width - 1}}", style="bold" if cells[0] != cells[1] else "")
            line.append("|", style="dim")
    yield from lines


def _short(token: str) -> str:
    shown = repr(token)[1:-1]
    return shown if len(shown) <= _MOST_CHARACTERS else f"{shown[: _MOST_CHARACTERS - 1]}…"
