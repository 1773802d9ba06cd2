"""Models whose circuit is known, since their weights are set by hand; see :mod:`acdc.planted.programs` and `generator`.

    >>> model = planted("planted-sort")
    >>> sorted(model.edges)
    ['a0.h1->logits', 'input->a0.h1<k>', 'input->a0.h1<q>', 'input->a0.h1<v>']
    >>> planted("planted-random-L4-H4-D64-E20-S0").circuit
    Circuit(20 of 353 edges)

Nothing here imports torch.
"""

from __future__ import annotations

from acdc.errors import UnknownNameError
from acdc.planted import generator, programs
from acdc.planted.model import Planted, Settings
from acdc.planted.names import EXAMPLE, Parameters, is_random, parsed

__all__ = ["Parameters", "Planted", "Settings", "is_planted", "is_random", "planted", "planted_names"]

_PROGRAMS = {
    "planted-induction": programs.induction,
    "planted-reverse": programs.reverse,
    "planted-proportion": programs.proportion,
    "planted-sort": programs.sort,
    "planted-histogram": programs.histogram,
    "planted-or": programs.either,
    "planted-and": programs.both,
}


def planted_names() -> list[str]:
    """Names of the models with programs written by hand; generated ones are named by their parameters."""
    return list(_PROGRAMS)


def is_planted(name: str) -> bool:
    """Whether a name is a planted model's, or begins as a generated one's does; :func:`planted` says what is wrong."""
    return name in _PROGRAMS or is_random(name)


def planted(name: str) -> Planted:
    """The planted model of that name.

    Args:
        name: one of :func:`planted_names`, or parameters such as ``planted-random-L4-H4-D64-E20-S0-N0.1``: layers,
            heads a layer, width, true edges, seed, and noise, which may be left out.

    Raises:
        UnknownNameError: no such model; names the nearest.
        SettingsError: parameters that make no model; says which would.
    """
    if is_random(name):
        return generator.generate(parsed(name))
    if name not in _PROGRAMS:
        raise UnknownNameError("planted model", name, [*_PROGRAMS, EXAMPLE])
    return _PROGRAMS[name]()
