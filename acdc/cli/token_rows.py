"""A pair token by token, for any width: clean over corrupted, with marks under what differs and under spans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from acdc.pairs.looking import ShownPair, ShownToken
from acdc.wording import one_line

#: Characters of a token or a span's name that are shown.
_MOST_CHARACTERS = 20
#: Under a token that differs, under one that a span goes on to, and after the token where an answer is read.
DIFFERS, GOES_ON, READ = "^", "-", "?"
_LABEL_WIDTH = 11


def token_rows(shown: ShownPair, width: int) -> Iterator[Text]:
    """Lines of a pair, in blocks of as many tokens as `width` takes.

    Args:
        shown: the pair.
        width: columns.
    """
    lanes = _lanes(shown)
    read = {answer.position for answer in shown.answers}
    columns = [
        _Column(place, token, [lane.get(place, "") for lane in lanes], place in read)
        for place, token in enumerate(shown.tokens)
    ]
    block: list[_Column] = []
    used = _LABEL_WIDTH
    for column in columns:
        if block and used + column.width + 1 > width:
            yield from _block(block, len(lanes))
            yield Text("")
            block, used = [], _LABEL_WIDTH
        block.append(column)
        used += column.width + 1
    yield from _block(block, len(lanes))


class _Column:
    """A token with what stands under it."""

    def __init__(self, place: int, token: ShownToken, spans: Sequence[str], is_read: bool) -> None:
        self.clean, self.corrupted = _cell(token.clean), _cell(token.corrupted)
        self.differs, self.is_read = token.differs, is_read
        self.number, self.spans = str(place), [_shortened(name) for name in spans]
        self.width = max(map(cell_len, (self.clean, self.corrupted, self.number, *self.spans)))
        self.width = max(self.width, 2 if is_read else 1)

    @property
    def marks(self) -> str:
        """What is under the two tokens."""
        filled = DIFFERS * max(cell_len(self.clean), cell_len(self.corrupted), 1) if self.differs else ""
        return set_cell_size(filled, self.width - 1) + READ if self.is_read else filled


def _block(columns: Sequence[_Column], n_lanes: int) -> Iterator[Text]:
    """The lines of some tokens; those with nothing in them are left out."""
    rows = [
        ("token", [column.number for column in columns], "dim", "dim"),
        ("clean", [column.clean for column in columns], "", "bold green"),
        ("corrupted", [column.corrupted for column in columns], "", "bold red"),
        ("", [column.marks for column in columns], "dim", "bold"),
        *(
            ("spans" if lane == 0 else "", [column.spans[lane] for column in columns], "cyan", "cyan")
            for lane in range(n_lanes)
        ),
    ]
    for label, cells, style, differing in rows:
        if not any(cell.strip() for cell in cells):
            continue
        line = Text().append(f"{label:{_LABEL_WIDTH}}", style="dim")
        bar = "|" if label in ("clean", "corrupted") else " "
        for column, cell in zip(columns, cells, strict=True):
            line.append(set_cell_size(cell, column.width), style=differing if column.differs else style)
            line.append(bar, style="dim")
        line.rstrip()
        yield line


def _lanes(shown: ShownPair) -> list[dict[int, str]]:
    """For each row of spans, what stands under each place; spans that overlap are in different rows."""
    places: dict[str, list[int]] = {}
    for place, token in enumerate(shown.tokens):
        for name in token.spans:
            places.setdefault(name, []).append(place)
    lanes: list[dict[int, str]] = []
    for name, found in places.items():
        lane = next((lane for lane in lanes if not lane.keys() & set(found)), None)
        if lane is None:
            lanes.append(lane := {})
        for place in found:
            lane[place] = name if place - 1 not in found else GOES_ON
    return lanes


def _cell(token: str) -> str:
    """A token as it may stand in a line; spaces stay, what can't be seen is an escape."""
    return _shortened(one_line(repr(token)[1:-1].replace("\\'", "'")))


def _shortened(text: str) -> str:
    text = one_line(text)
    return text if cell_len(text) <= _MOST_CHARACTERS else f"{set_cell_size(text, _MOST_CHARACTERS - 1)}…"
