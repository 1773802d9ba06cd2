"""The names that fields and columns of a prompt file have, and those that are nearly one of them."""

from __future__ import annotations

from functools import lru_cache

CLEAN = ("clean", "clean_tokens")
#: ``corrupt`` is AutoCircuit's name.
CORRUPTED = ("corrupted", "corrupt", "corrupted_tokens")
#: Answers: text, token ids, either (AutoCircuit's).
RIGHT = ("answer", "answer_token", "answers")
WRONG = ("wrong_answer", "wrong_answer_token", "wrong_answers")
#: EAP-IG's columns of token ids, where both are there. One alone may hold anything: in files of
#: greater-than it is a year's last digits.
RIGHT_ID, WRONG_ID = "correct_idx", "incorrect_idx"
POSITION = "answer_position"
#: Read by :mod:`acdc.pairs.splitting`.
SPLIT, GROUP = "split", "group"
KNOWN = (*CLEAN, *CORRUPTED, *RIGHT, *WRONG, POSITION, RIGHT_ID, WRONG_ID, SPLIT, GROUP)

#: More fields than any pair needs: each is looked at.
MOST_FIELDS = 1000
#: Names of at least so many letters may have two slips, shorter ones one.
_LONG = 6


@lru_cache(maxsize=1000)
def nearly_known(name: str) -> str | None:
    """The known name that `name` is a slip of: other capitals, spaces, or a letter or two."""
    if name in KNOWN:
        return None
    folded = "_".join(name.casefold().replace("-", " ").split())
    near = {}
    for known in KNOWN:
        most = 2 if len(known) >= _LONG else 1
        # A slip brings or takes a letter, or both; most names are told apart by that.
        alike = abs(len(folded) - len(known)) <= most and len(set(folded) ^ set(known)) <= 2 * most
        if alike and (slips := _slips(folded, known)) <= most:
            near[known] = slips
    return min(near, key=near.__getitem__, default=None)


def _slips(a: str, b: str) -> int:
    """Letters to add, leave out, change or swap with their neighbour, to make one of the other."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, start=1):
        now = [i]
        for j, other in enumerate(b, start=1):
            fewest = min(row[j] + 1, now[j - 1] + 1, row[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                fewest = min(fewest, before[j - 2] + 1)
            now.append(fewest)
        before, row = row, now
    return row[-1]
