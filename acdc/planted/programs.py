"""The planted models, one function each: what every head does, and the edges that follow.

Each says in its docstring which heads do what. Heads and MLPs that aren't named are bystanders that read and write
all the time and reach nothing. What a head learns of positions is the same in both prompts of a pair, so that under
``corrupted`` ablation ``input->a0.h0<q>`` of a head that only looks at positions isn't a true edge.
"""

from __future__ import annotations

import numpy as np

from acdc.planted.blueprint import OUTPUT, POSITION, SURE, SYMBOL, Blueprint
from acdc.planted.planted import Planted, Settings

LETTERS = tuple("abcdef")
DIGITS = tuple("0123456789")
#: Symbols and answers of ``planted-proportion``, and how many symbols are counted.
PROPORTION, PROPORTION_LENGTH = (*"wxyz", "most", "few"), 7
#: Words of ``planted-or`` and ``planted-and``.
FRUITS = ("apple", "banana", "cherry", "grape", "lemon", "mango", "peach", "pear")
TOOLS = ("axe", "drill", "hammer", "knife", "pliers", "rake", "saw", "shovel")
COLOURS = ("black", "blue", "brown", "green", "grey", "red", "white", "yellow")


def _edges(*names: str) -> frozenset[str]:
    return frozenset(names)


def _looks_at(n_ctx: int, seen: dict[int, int]) -> np.ndarray:
    """Scores of positions by which each position of `seen` attends to one, and each other to itself."""
    table = np.zeros((n_ctx, n_ctx))
    for position in range(n_ctx):
        table[position, seen.get(position, position)] = SURE
    return table


def _one_hot(n: int, *ids: int) -> np.ndarray:
    made = np.zeros(n)
    made[list(ids)] = 1
    return made


def induction() -> Planted:
    """Two layers of attention: after the second ``d`` comes what came after the first (Olsson et al. 2022).

    ``a0.h1`` looks one back and writes the symbol before into a room of its own. ``a1.h0`` asks with its own
    symbol for keys whose symbol before was the same, and writes the symbol that it finds there as the answer.
    """
    vocabulary = tuple("abcdefghijklmnopqrstuvwxyz")
    n, n_ctx = len(vocabulary), 24
    model = Blueprint(vocabulary, n_ctx, n_layers=2, n_heads=3, rooms={"before": n})
    back = {position: position - 1 for position in range(1, n_ctx)}
    table = _looks_at(n_ctx, back)
    model.head(0, 1, scores=(POSITION, POSITION, table), value=(SYMBOL, np.eye(n)), into="before")
    model.head(1, 0, scores=(SYMBOL, "before", SURE * np.eye(n)), value=(SYMBOL, np.eye(n)), into=OUTPUT)
    return Planted(
        "planted-induction",
        "A previous-token head and an induction head, which repeat what came after a symbol before: 5 edges.",
        vocabulary,
        model.config,
        model.weights(),
        _edges("input->a0.h1<v>", "a0.h1->a1.h0<k>", "input->a1.h0<q>", "input->a1.h0<v>", "a1.h0->logits"),
        Settings("induction", "other-tokens", threshold=0.05),
    )


def reverse() -> Planted:
    """Five letters, then ``>``, then the letters from the last to the first.

    The letter that comes next after position p stands at 9 - p. ``a0.h1`` fetches it at the positions 5, 7 and 9,
    ``a1.h0`` at 6 and 8; at the others each looks at ``>``, which is no letter and gives nothing. ``m1`` copies
    what both have fetched to the output, in a unit for each letter of each head's room.
    """
    vocabulary = (*LETTERS, ">")
    n, n_ctx = len(LETTERS), 10
    rooms = {"even": n, "odd": n}
    model = Blueprint(vocabulary, n_ctx, n_layers=2, n_heads=3, rooms=rooms, d_mlp=2 * n)
    letters = np.eye(len(vocabulary))[:, :n]
    for layer, head, own, room in ((0, 1, (5, 7, 9), "even"), (1, 0, (6, 8), "odd")):
        seen = {position: 9 - position if position in own else 5 for position in range(5, n_ctx)}
        table = _looks_at(n_ctx, seen)
        model.head(layer, head, scores=(POSITION, POSITION, table), value=(SYMBOL, letters), into=room)
    units = [
        ({room: _one_hot(n, letter)}, 0.0, _one_hot(len(vocabulary), letter)) for room in rooms for letter in range(n)
    ]
    model.mlp(1, units, into=OUTPUT)
    return Planted(
        "planted-reverse",
        "Two heads that fetch letters by position, in turns, and an MLP that writes them: 5 edges.",
        vocabulary,
        model.config,
        model.weights(),
        _edges("input->a0.h1<v>", "input->a1.h0<v>", "a0.h1->m1", "a1.h0->m1", "m1->logits"),
        Settings("reverse", "other-letters", threshold=0.05),
    )


def sort() -> Planted:
    """Different digits, then ``>``, then the digits in ascending order.

    The digit that comes next is the least of those above the present one. ``a0.h1`` scores the digit d, seen from
    the digit c, by 10 - d if d is above c and by 0 if not (all digits are above ``>``), and copies what it sees.
    """
    vocabulary = (*DIGITS, ">")
    n, n_ctx = len(vocabulary), 10
    model = Blueprint(vocabulary, n_ctx, n_layers=2, n_heads=3)
    table = np.zeros((n, n))
    for digit in range(10):
        table[:digit, digit] = table[-1, digit] = SURE * (10 - digit)
    model.head(0, 1, scores=(SYMBOL, SYMBOL, table), value=(SYMBOL, np.eye(n)), into=OUTPUT)
    return Planted(
        "planted-sort",
        "One head that attends to the least digit above the present one: 4 edges.",
        vocabulary,
        model.config,
        model.weights(),
        _edges("input->a0.h1<q>", "input->a0.h1<k>", "input->a0.h1<v>", "a0.h1->logits"),
        Settings("sorting", "other-digits", threshold=0.05),
    )


def histogram() -> Planted:
    """After each letter, how often it has occurred so far.

    Each letter has a head ``a0.h0`` to ``a0.h4`` that attends to all alike, and so gives the share of that letter
    among the symbols so far. ``m0`` has a unit for each letter and position, which is above 0 only where both are
    the present ones, and multiplies the share by the number of symbols: the count c. A count of k is given the logit
    4 (2 k c - k^2), which is largest for k = c and 4 smaller for the next.
    """
    letters, n_ctx = LETTERS[:5], 6
    vocabulary = (*letters, *DIGITS[1 : n_ctx + 1])
    n = len(vocabulary)
    model = Blueprint(vocabulary, n_ctx, n_layers=2, n_heads=6, rooms={"share": 5}, d_mlp=5 * n_ctx + 1, loudness=4.0)
    for letter in range(5):
        becomes = np.outer(_one_hot(n, letter), _one_hot(5, letter))
        model.head(0, letter, value=(SYMBOL, becomes), into="share")
    counts = np.arange(1.0, n_ctx + 1)
    of_count, constant = np.zeros(n), np.zeros(n)
    of_count[5:], constant[5:] = 2 * counts, -(counts**2)
    constant[:5] = -n_ctx  # a letter is never the answer
    off = 2.0 * n_ctx  # more than any count
    units = [
        (
            {
                "share": (position + 1) * _one_hot(5, letter),
                SYMBOL: off * _one_hot(n, letter),
                POSITION: off * _one_hot(n_ctx, position),
            },
            -2 * off,
            of_count,
        )
        for letter in range(5)
        for position in range(n_ctx)
    ]
    model.mlp(0, [*units, ({}, 1.0, constant)], into=OUTPUT)
    heads = [f"a0.h{letter}" for letter in range(5)]
    return Planted(
        "planted-histogram",
        "A head a letter that gives its share so far, and an MLP that makes counts of them: 12 edges.",
        vocabulary,
        model.config,
        model.weights(),
        _edges(*(f"input->{head}<v>" for head in heads), *(f"{head}->m0" for head in heads), "input->m0", "m0->logits"),
        Settings("histogram", "other-letters", threshold=0.02),
    )


def proportion() -> Planted:
    """After some symbols and ``:``, whether ``most`` or ``few`` of them are ``x`` (a task of the ACDC paper).

    ``m0`` writes 1 where the symbol is ``x``; ``a1.h1`` attends to all alike and so counts, as the number of symbols
    is always the same. Half a symbol short of more than half is what ``few`` has.
    """
    n_ctx = PROPORTION_LENGTH + 1
    model = Blueprint((*PROPORTION, ":"), n_ctx, n_layers=2, n_heads=3, rooms={"is x": 1}, d_mlp=8)
    model.mlp(0, [({SYMBOL: model.marks("x")}, 0.0, np.ones(1))], into="is x")
    model.head(1, 1, value=("is x", n_ctx * model.marks("most")[None]), into=OUTPUT)
    model.lean("few", PROPORTION_LENGTH / 2)
    return Planted(
        "planted-proportion",
        "An MLP that knows x, and a head that counts it by attending to all alike: 3 edges.",
        (*PROPORTION, ":"),
        model.config,
        model.weights(),
        _edges("input->m0", "m0->a1.h1<v>", "a1.h1->logits"),
        Settings("planted-proportion", "other-symbols", threshold=0.05),
    )


def either() -> Planted:
    """After two words, a colour and ``?``: ``yes`` if either word is a fruit, which each of two heads can tell.

    ``a0.h0`` looks at the first word and ``a0.h2`` at the second, and each writes 1 for a fruit. ``m0`` writes
    relu(a + b) - relu(a + b - 1), which is 1 for one fruit and for two. From two fruits to two tools, either branch
    can be ablated without any loss, but not both: greedy pruning removes the one that it tries first, and keeps
    the other.
    """
    return _of_two_words(
        "planted-or",
        "Two heads that each tell a fruit, either of which is enough: 5 edges, of which greedy pruning finds 3.",
        [(0.0, 1.0), (-1.0, -1.0)],
        one_is_enough=True,
    )


def both() -> Planted:
    """As :func:`either`, but ``yes`` only if both words are fruits.

    ``m0`` writes relu(a + b - 1), which is 1 for two fruits alone. From two fruits to two tools, every edge is
    needed. The other way round it would be an OR: from two tools, one fruit changes nothing.
    """
    return _of_two_words(
        "planted-and",
        "Two heads that each tell a fruit, both of which are needed: 5 edges.",
        [(-1.0, 1.0)],
        one_is_enough=False,
    )


def _of_two_words(name: str, summary: str, gate: list[tuple[float, float]], *, one_is_enough: bool) -> Planted:
    """A model that joins what two heads see by units of ``relu(a + b + bias)``, each with what it counts."""
    vocabulary = (*FRUITS, *TOOLS, *COLOURS, "?", "yes", "no")
    model = Blueprint(vocabulary, 4, n_layers=2, n_heads=3, rooms={"first": 1, "second": 1}, d_mlp=8)
    fruit = model.marks(*FRUITS)[:, None]
    branches = []
    for head, room, position in ((0, "first", 0), (2, "second", 1)):
        model.head(0, head, scores=(POSITION, POSITION, _looks_at(4, {3: position})), value=(SYMBOL, fruit), into=room)
        branches.append(_edges(f"input->a0.h{head}<v>", f"a0.h{head}->m0"))
    said = model.marks("yes") - model.marks("no")
    one = np.ones(1)
    model.mlp(0, [({"first": one, "second": one}, bias, sign * said) for bias, sign in gate], into=OUTPUT)
    model.lean("yes", -0.5)
    model.lean("no", 0.5)
    return Planted(
        name,
        summary,
        vocabulary,
        model.config,
        model.weights(),
        _edges("m0->logits").union(*branches),
        Settings(name, "two-tools", threshold=0.05),
        tuple(branches) if one_is_enough else (),
    )
