"""Names of planted models, and the parameters that a generated one's name carries."""

from __future__ import annotations

import re
from dataclasses import dataclass

from acdc.errors import SettingsError
from acdc.wording import counted, quoted

_RANDOM = "planted-random"
#: How such a name looks.
EXAMPLE = f"{_RANDOM}-L4-H4-D64-E20-S0"
_PATTERN = re.compile(rf"{_RANDOM}-L(\d+)-H(\d+)-D(\d+)-E(\d+)-S(\d+)(?:-N(\d+(?:\.\d+)?))?", re.ASCII)
#: Digits of a number, and of the noise behind its point.
_MOST_DIGITS = 9
_WHAT = ("number of layers", "number of heads", "width", "number of true edges", "seed", "noise")


@dataclass(frozen=True)
class Parameters:
    """What a generated model is made from.

    Attributes:
        layers, heads: of attention, without MLPs.
        width: of the residual stream.
        edges: true edges.
        seed: of program, weights and noise.
        noise: how loud an edge that isn't true is, next to a true edge into the same slot; from 0 to 1, with at most
            nine digits behind the point, so that the smallest is 1e-9.

    Raises:
        SettingsError: another noise than that, which no name could carry.
    """

    layers: int
    heads: int
    width: int
    edges: int
    seed: int = 0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.noise > 1:
            raise SettingsError(
                f"a generated model's noise of {self.noise:g} would be louder than the program; give at most 1."
            )
        if not self.noise >= 0 or self.noise != round(self.noise, _MOST_DIGITS):
            raise SettingsError(
                f"a generated model's noise must be 0 or more, with at most {_MOST_DIGITS} digits behind the point, "
                f"got {self.noise!r}."
            )

    @property
    def shape(self) -> str:
        """``4 layers of 4 heads``."""
        return f"{counted(self.layers, 'layer')} of {counted(self.heads, 'head')}"

    @property
    def name(self) -> str:
        """It opens by this: ``planted-random-L4-H4-D64-E20-S0-N0.1``."""
        noise = f"-N{self.noise:.{_MOST_DIGITS}f}".rstrip("0").rstrip(".") if self.noise else ""
        return f"{_RANDOM}-L{self.layers}-H{self.heads}-D{self.width}-E{self.edges}-S{self.seed}{noise}"


def is_random(name: str) -> bool:
    """Whether a name begins as a generated model's does."""
    return name == _RANDOM or name.startswith(f"{_RANDOM}-")


def parsed(name: str) -> Parameters:
    """The parameters that a generated model's name carries. Raises :class:`SettingsError` if it isn't such a name."""
    found = _PATTERN.fullmatch(name)
    if found is None:
        raise SettingsError(
            f"{quoted(name)} isn't the name of a generated model: it must be like {EXAMPLE}, or {EXAMPLE}-N0.1, "
            "with its numbers of layers, heads, width, true edges, the seed and the noise."
        )
    layers, heads, width, edges, seed, noise = found.groups(default="0")
    for what, number in zip(_WHAT, found.groups(default="0"), strict=True):
        if (n_digits := max(map(len, number.split(".")))) > _MOST_DIGITS:
            where = " behind its point" if "." in number and len(number.partition(".")[2]) > _MOST_DIGITS else ""
            raise SettingsError(
                f"{quoted(name)}: its {what} has {n_digits:,} digits{where}; give at most {_MOST_DIGITS}."
            )
    return Parameters(int(layers), int(heads), int(width), int(edges), int(seed), float(noise))
