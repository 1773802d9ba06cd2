"""Names of planted models, and the parameters that a generated one's name carries."""

from __future__ import annotations

import re
from dataclasses import dataclass

from acdc.errors import SettingsError
from acdc.wording import quoted

_RANDOM = "planted-random"
#: How such a name looks.
EXAMPLE = f"{_RANDOM}-L4-H4-D64-E20-S0"
_PATTERN = re.compile(rf"{_RANDOM}-L(\d+)-H(\d+)-D(\d+)-E(\d+)-S(\d+)(?:-N(\d+(?:\.\d+)?))?", re.ASCII)
_MOST_DIGITS = 9


@dataclass(frozen=True)
class Parameters:
    """What a generated model is made from.

    Attributes:
        layers, heads: of attention, without MLPs.
        width: of the residual stream.
        edges: true edges.
        seed: of program, weights and noise.
        noise: how loud an edge that isn't true is, next to a true edge into the same slot.
    """

    layers: int
    heads: int
    width: int
    edges: int
    seed: int = 0
    noise: float = 0.0

    @property
    def name(self) -> str:
        """It opens by this: ``planted-random-L4-H4-D64-E20-S0-N0.1``."""
        noise = f"-N{self.noise:g}" if self.noise else ""
        return f"{_RANDOM}-L{self.layers}-H{self.heads}-D{self.width}-E{self.edges}-S{self.seed}{noise}"


def is_random(name: str) -> bool:
    """Whether a name begins as a generated model's does."""
    return name == _RANDOM or name.startswith(f"{_RANDOM}-")


def parsed(name: str) -> Parameters:
    """The parameters that a generated model's name carries. Raises :class:`SettingsError` if it isn't such a name."""
    found = _PATTERN.fullmatch(name)
    if found is None or any(len(number or "") > _MOST_DIGITS for number in found.groups()):
        raise SettingsError(
            f"{quoted(name)} isn't the name of a generated model: it must be like {EXAMPLE}, or {EXAMPLE}-N0.1, "
            "with its numbers of layers, heads, width, true edges, the seed and the noise."
        )
    layers, heads, width, edges, seed, noise = found.groups(default="0")
    return Parameters(int(layers), int(heads), int(width), int(edges), int(seed), float(noise))
