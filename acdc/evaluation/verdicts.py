"""What the figures of circuits on prompts amount to, in the sentences of a run's verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from acdc.evaluation.judgement import EAP_IG, HELD_OUT, USED, Judgement
from acdc.verdict import Words, verdict

_BESIDE = {HELD_OUT: "held out", "test": "on the test prompts"}
_PROMPTS = {USED: "the prompts used", HELD_OUT: "held-out prompts", "train": "the train prompts"}
_PROMPTS["test"] = "the test prompts"
_BEGINS = (
    ', with the BOS before every prompt that the convention eap-ig puts there; `bos="auto"` begins prompts as its '
    "tokenizer does"
)


@dataclass(frozen=True)
class Verdict:
    """What the figures of a circuit on a task amount to.

    Attributes:
        circuit, task: as a :class:`Judgement` names them.
        sentences: see :func:`acdc.verdict.verdict`.
    """

    circuit: str
    task: str
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.circuit} on {self.task}: {' '.join(self.sentences)}"


def by_task(judgements: Iterable[Judgement]) -> list[list[Judgement]]:
    """Judgements of one circuit on one task, on the used or ``train`` prompts and the others, side by side."""
    found: list[list[Judgement]] = []
    for one in judgements:
        last = found[-1] if found else []
        alike = any((one.circuit, one.task) == (other.circuit, other.task) for other in last[-1:])
        if alike and one.which not in (USED, "train") and len(last) == 1 and last[0].which != one.which:
            last.append(one)
        else:
            found.append([one])
    return found


def verdict_of(together: Sequence[Judgement]) -> Verdict:
    """The verdict on what one of :func:`by_task` holds."""
    first, last = together[0], together[-1]
    words = Words(
        first=_PROMPTS[first.which],
        second=_PROMPTS[last.which],
        beside=_BESIDE.get(last.which, ""),
        larger="a larger circuit",
        fewer="Give one of fewer",
        found=first.which == USED,
        model=_BEGINS if (first.convention, first.bos) == (EAP_IG, "yes") else "",
    )
    said = verdict(
        first.evaluation,
        last.evaluation if len(together) > 1 else None,
        n_edges=first.n_edges,
        n_graph=first.of_edges,
        metric=first.metric,
        threshold=None,
        words=words,
    )
    return Verdict(first.circuit, first.task, tuple(said))
