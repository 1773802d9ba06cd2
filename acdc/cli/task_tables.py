"""How well a model does a task, as tables for the terminal: 80 columns are enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from acdc.cli.terminal import Terminal
from acdc.cli.token_rows import token_rows
from acdc.evaluation.task_check import TaskCheck
from acdc.evaluation.task_figures import CLEAN, CORRUPTED, TaskFigures
from acdc.pairs.checking import DrawnPairs
from acdc.pairs.looking import shown_pair
from acdc.wording import counted, quoted

#: Groups of a kind that are shown, the worst ones; likeliest tokens, and answers, that are shown of a prompt.
_MOST_GROUPS, _LIKELIEST, _MOST_ANSWERS = 8, 3, 3
_WIDTH, _MOST_LABEL = 80, 24

Checked = tuple[DrawnPairs, TaskFigures]


def print_check(found: TaskCheck) -> None:
    """Print the figures of every corruption, those of templates and answers, and the worst prompts."""
    out = Terminal(_WIDTH)
    both = list(zip(found.pairs.drawn, found.figures, strict=True))
    out.print(_table(found, both))
    for line in _about_corruptions(found, both):
        out.print(line)
    first = [one for one in both if one[0].corruption == both[0][0].corruption]
    drawn, figures = first[-1]  # of used and held-out prompts, the latter tell more
    for kind in figures.kinds:
        out.print(_groups(kind, drawn, figures))
    if figures.worst:
        _print_worst(out, found, drawn, figures)


def _table(found: TaskCheck, both: Sequence[Checked]) -> Table:
    """Clean prompts and those of every corruption; an interval stands below its mean."""
    table = _plain(Text.assemble((found.pairs.task.name, "bold"), " on ", (found.model, "bold")))
    table.add_column("", overflow="fold", max_width=_MOST_LABEL)
    for heading in ("right", "top-1\nright", "logit diff", "spread", "kl to\nclean"):
        table.add_column(heading, justify="right")
    for which in dict.fromkeys(drawn.which for drawn, _ in both):
        table.add_section()
        some = [(drawn, figures) for drawn, figures in both if drawn.which == which]
        table.add_row(Text(f"{counted(some[0][1].n_prompts, 'prompt')}, {which}", style="bold"))
        shown: list[tuple[object, ...]] = []
        for drawn, figures in some:
            clean = tuple(pair.clean for pair in drawn.prompts.pairs)
            if clean not in shown:  # they are the same under every corruption, of most tasks
                table.add_row(CLEAN if not shown else f"clean of {drawn.corruption}", *_cells(figures, CLEAN))
                shown.append(clean)
            table.add_row(_name(drawn), *_cells(figures, CORRUPTED))
    table.caption = "below a mean its 95 % interval (bootstrap over prompts); spread: standard deviation over prompts"
    table.caption_justify = "left"
    return table


def _name(drawn: DrawnPairs) -> str:
    return f"{drawn.corruption} (control)" if drawn.declared.is_control else drawn.corruption


def _cells(figures: TaskFigures, state: str) -> Iterator[str]:
    found = figures.states[state]
    for name in ("accuracy", "top1"):
        mean = found.mean(name)
        yield "" if mean is None else _cell(f"{mean:.1%}", figures, state, name, "{:.0%}")
    mean, spread = found.logit_difference, figures.spread(state)
    yield "" if mean is None else _cell(f"{mean:.3g}", figures, state, "logit_difference", "{:.2g}")
    yield "" if spread is None else f"{spread:.2g}"
    yield "" if state == CLEAN else f"{found.metrics['kl']:.3g}"


def _cell(mean: str, figures: TaskFigures, state: str, name: str, form: str) -> str:
    interval = figures.intervals.of(state, name)
    if interval.low is None or interval.high is None:
        return mean
    return f"{mean}\n[{form.format(interval.low)}, {form.format(interval.high)}]"


def _about_corruptions(found: TaskCheck, both: Sequence[Checked]) -> Iterator[Text]:
    """What each corruption isolates; of a control, whether the answer stays."""
    told: set[str] = set()
    for drawn, figures in both:
        if drawn.corruption in told:
            continue
        told.add(drawn.corruption)
        line = Text.assemble((drawn.corruption, "bold"), f": {drawn.isolates}")
        clean, corrupted = figures.clean.accuracy, figures.corrupted.accuracy
        if drawn.declared.is_control and clean is not None and corrupted is not None:
            line.append(f"; a control: right on {corrupted:.0%} with it, and on {clean:.0%} without")
        yield line


def _groups(kind: str, drawn: DrawnPairs, figures: TaskFigures) -> Table:
    """The figures of each group of prompts, the worst first."""
    groups = figures.groups(kind)
    table = _plain(f"by {kind}, {counted(figures.n_prompts, 'prompt')}, {drawn.which}, under {drawn.corruption}")
    table.add_column(kind, overflow="fold", ratio=1)
    for heading in ("prompts", "right", "top-1\nright", "logit\ndiff", "corrupted\nright", "corrupted\nlogit diff"):
        table.add_column(heading, justify="right")
    for label, part in list(groups.items())[:_MOST_GROUPS]:
        clean, corrupted = part.clean, part.corrupted
        table.add_row(
            label if kind == "template" else quoted(label),
            str(part.n_prompts),
            *(_percent(clean.accuracy), _percent(clean.top1), _number(clean.logit_difference)),
            *(_percent(corrupted.accuracy), _number(corrupted.logit_difference)),
        )
    if len(groups) > _MOST_GROUPS:
        table.caption = f"and {len(groups) - _MOST_GROUPS} more, on which the model is no worse"
        table.caption_justify = "left"
    return table


def _print_worst(out: Terminal, found: TaskCheck, drawn: DrawnPairs, figures: TaskFigures) -> None:
    """The prompts on which least speaks for the right answer, token by token, and what the model says."""
    say = f"the worst {len(figures.worst)} of {counted(figures.n_prompts, 'prompt')}, {drawn.which}"
    out.print(Text(say if len(figures.worst) > 1 else say.replace("worst 1", "worst"), style="bold"))
    for worst in figures.worst:
        pair = drawn.prompts.pairs[worst.prompt]
        out.print(f"{pair.where}: the right answer's logit is {-worst.value:.3g} above the best other one's")
        for line in token_rows(shown_pair(pair, found.tokenizer), out.width):
            out.print(line)
        wrong = f"; wrong {_some(worst.wrong)}" if worst.wrong else ""
        says = ", ".join(f"{quoted(token)} {share:.1%}" for token, share in worst.model[:_LIKELIEST])
        out.print(f"after token {worst.position}: right {_some(worst.right)}{wrong}; the model says {says}")
        out.print()


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MOST_ANSWERS} more" if len(texts) > _MOST_ANSWERS else ""
    return " or ".join(map(quoted, texts[:_MOST_ANSWERS])) + more


def _plain(title: str | Text) -> Table:
    """A table without borders, which leaves room for figures."""
    return Table(
        title=title, title_justify="left", title_style="", box=box.SIMPLE, padding=(0, 1, 0, 0), show_edge=False
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
