"""What is measured of a circuit beside its behaviour, where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from acdc.asked import flag
from acdc.circuit import Circuit
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.evaluation.completeness import completeness
from acdc.evaluation.curves import curve
from acdc.evaluation.judgement import HELD_OUT, Judgement
from acdc.evaluation.testing import hypothesis_tests

#: Prompts that a circuit wasn't found on.
_UNSEEN = (HELD_OUT, "test")


@dataclass(frozen=True)
class Yardstick:
    """What is asked for.

    Attributes:
        curve: faithfulness over sizes, by the circuit's scores (:mod:`acdc.evaluation.curves`).
        completeness: and minimality, by taking out nodes (:mod:`acdc.evaluation.completeness`).
        tests: of hypotheses, on prompts on which it wasn't found (:mod:`acdc.evaluation.testing`).
    """

    curve: bool = False
    completeness: bool = False
    tests: bool = False

    @classmethod
    def checked(cls, given: Mapping[str, Any], split: str) -> Yardstick:
        """Check what a caller asked for. Raises :class:`SettingsError` for what makes no sense."""
        made = cls(*(flag(name, given[name]) for name in ("curve", "completeness", "tests")))
        if made.tests and split == "train":
            raise SettingsError(
                "hypothesis tests need prompts that the circuit wasn't found on; leave out `split`, or give "
                '`split="test"`.'
            )
        return made

    def check(self, which: Sequence[str]) -> None:
        """Raise :class:`SettingsError` where there are no prompts to test on.

        Args:
            which: of a task's prompts there are, see :class:`Judgement`.
        """
        if self.tests and not any(one in _UNSEEN for one in which):
            raise SettingsError(
                "there are no held-out prompts to test hypotheses on; give a `task`, or a file, that has others than "
                "those the circuit was found on."
            )

    def of(self, setting: Setting, circuit: Circuit, judged: Judgement) -> Judgement:
        """A judgement with what is asked for beside.

        Args:
            setting: the judgement's model and prompts.
            circuit: that was judged.
            judged: what is known of it.
        """
        evaluation, convention = judged.evaluation, judged.convention
        if self.curve:
            judged = replace(judged, curve=curve(setting, circuit, evaluation, convention))
        if self.completeness:
            metric = str(evaluation.faithfulness_metric)
            ablated = evaluation.ablated.metrics[metric]
            judged = replace(
                judged, completeness=completeness(setting, circuit, judged.task, metric, ablated, convention)
            )
        if self.tests and judged.which in _UNSEEN:
            judged = replace(judged, tests=hypothesis_tests(setting, circuit, convention))
        return judged
