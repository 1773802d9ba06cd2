"""How many prompts a run takes at a time, and what it says of memory before it begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from acdc.engine.memory import MemoryOptions, available_memory, held_memory, largest_batch, memory_estimate
from acdc.errors import MemoryLimitError, warn
from acdc.models.model import Model
from acdc.pairs import PromptSet

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: Fewer prompt pairs are made in a moment; :func:`plan_memory` then knows what they need.
MANY_PAIRS = 1000
#: How many of many are made to see what the others will need.
SAMPLE_PAIRS = 16
#: Refused is what needs so many times the memory that is free; what needs less may be tried.
_FAR_TOO_MUCH = 2


def refuse_too_many(model: Model, sample: PromptSet, n: int, **options: Unpack[MemoryOptions]) -> None:
    """Refuse a number of prompt pairs that memory can't serve, before so many are made.

    Args:
        model: the model.
        sample: a few of the pairs.
        n: how many are asked for.
        options: of :func:`acdc.engine.memory.memory_estimate`.

    Raises:
        MemoryLimitError: a usual run takes over twice the memory that is free, one prompt at a time.
    """
    available = available_memory(model.device)
    few, twice = (
        memory_estimate(model, PromptSet(pairs, sample.task), batch_size=1, **options).usual
        for pairs in (sample.pairs, 2 * sample.pairs)
    )
    needed = few + (twice - few) * (n - len(sample)) // len(sample)
    if available is not None and needed > _FAR_TOO_MUCH * available:
        raise MemoryLimitError(
            f"a run on {n} prompt pairs needs about {needed / 1e9:.1f} GB, and {available / 1e9:.1f} GB are free; "
            "lower `n`."
        )


def plan_memory(
    model: Model,
    prompts: PromptSet,
    asked: int | None,
    announce: Callable[[str], None],
    **options: Unpack[MemoryOptions],
) -> tuple[int, int]:
    """Say how much memory the run needs; warn where there isn't as much.

    Args:
        model: the model.
        prompts: its prompts.
        asked: how many of them to run together; ``None``: as many as fit.
        announce: called with the line.
        options: of :func:`acdc.engine.memory.memory_estimate`.

    Returns:
        How many prompts to run together, and bytes of a usual run with what is held already.
    """
    held, available = held_memory(model.device) or 0, available_memory(model.device)
    n = len(prompts)
    size = largest_batch(model, prompts, available, **options) if asked is None else min(asked, n)
    found = memory_estimate(model, prompts, batch_size=size, **options)
    usual, at_most = ((held + more) / 1e9 for more in (found.usual, found.at_most))
    most = "" if found.at_most == found.usual else f"; at most {at_most:.1f} GB, if hardly an edge goes"
    announce(f"memory: about {usual:.1f} GB{most}" + ("" if size >= n else f" ({size} of the {n} prompts at a time)"))
    if available is not None and found.usual > available:
        helps = memory_estimate(model, prompts, batch_size=1, **options).usual < found.usual
        warn(
            f"the run may need {found.usual / 1e9:.1f} GB more, and {available / 1e9:.1f} GB are free; "
            f"lower {'`batch_size` or ' if helps else ''}`n`, use shorter prompts, or open the model with "
            '`dtype="bfloat16"` (which runs on the slow reference engine).'
        )
    return size, held + found.usual
