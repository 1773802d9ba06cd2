"""Tasks and prompt pairs, as notebooks show them."""

from __future__ import annotations

from acdc.notebook.markup import Cell, Markup, heading, joined, page, paragraph, table, token
from acdc.pairs.looking import ShownPair, shown_pair
from acdc.pairs.promptset import PromptSet
from acdc.pairs.task import Task
from acdc.wording import counted, shortened, task_name

_SHOWN = 10  # pairs
_LONGEST = 60  # tokens of a prompt; of a longer one both ends are shown


def task_form(task: Task) -> str:
    """What a task is, and how its prompts can be corrupted."""
    rows: list[list[Cell]] = [["metric of its paper", task.metric], ["source", task.source]]
    rows += [["spans", ", ".join(task.spans)], ["kind", task.kind], ["file", ", ".join(map(str, task.files))]]
    ways = [
        [name, meaning, "control" if name in task.control_corruptions else ""]
        for name, meaning in task.corruptions.items()
    ]
    return page(
        heading(f"Task {task_name(task.name)}"),
        paragraph(task.summary),
        table(("", ""), [row for row in rows if row[1]]),
        table(("corruption", "what it does", ""), ways, "corruptions, the default first"),
        paragraph(*task.notes),
    )


def prompts_form(prompts: PromptSet) -> str:
    """The first pairs token by token, clean over corrupted, with what differs marked, and the answers."""
    return page(*prompts_parts(prompts))


def prompts_parts(prompts: PromptSet) -> list[Markup | None]:
    """The same in parts."""
    left_out = [f"{count:,} {kind}" for kind, count in prompts.left_out.items() if count]
    said = [f"{prompts.lengths_in_words} a prompt, {prompts.alignment_in_words}."]
    if left_out:
        said.append(f"Left out: {', '.join(left_out)}.")
    pairs = [_pair(shown_pair(pair, prompts.tokenizer)) for pair in prompts.pairs[:_SHOWN]]
    rest = len(prompts) - len(pairs)
    return [
        heading(f"{counted(len(prompts), 'prompt pair')} of {task_name(prompts.task)}"),
        paragraph(*said),
        *pairs,
        paragraph(f"And {counted(rest, 'more pair')}.") if rest else None,
    ]


def pair_form(pair: ShownPair) -> str:
    """A pair token by token."""
    return page(_pair(pair))


def _pair(pair: ShownPair) -> Markup:
    """A pair, its prompts one below the other."""
    places = list(enumerate(pair.tokens))
    cut = len(places) > _LONGEST
    if cut:
        places = places[: _LONGEST // 2] + places[-_LONGEST // 2 :]
    rows: list[list[Cell | Markup]] = []
    for which in ("clean", "corrupted"):
        pieces = []
        for number, place in places:
            if cut and number == len(pair.tokens) - _LONGEST // 2:
                pieces.append(token(" \N{HORIZONTAL ELLIPSIS} "))
            title = ", ".join((f"token {number}", *place.spans))
            pieces.append(token(getattr(place, which), marked=place.differs, title=title))
        rows.append([which, joined(pieces)])
    for answer in pair.answers:
        found = [
            f"{name} {', '.join(map(repr, answers))}"
            for name, answers in (("right", answer.right), ("wrong", answer.wrong), ("corrupted", answer.corrupted))
            if answers
        ]
        if found:
            rows.append([f"after token {answer.position}", shortened("; ".join(found), 300)])
    return table(("", pair.where), rows)
