"""One circuit for a model and a task, its threshold chosen by a rule, so that circuits can be held against each other.

The rule: of :data:`THRESHOLDS`, from the largest down, the first whose circuit is faithful enough (90 % unless said) on
held-out prompts. Faithful is 1 - KL(circuit) / KL(all edges ablated), from the model's own predictions, right or wrong:
so it says something of a model, too, that answers no held-out prompt.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from tqdm import tqdm

from acdc.discovery.discover import discover
from acdc.errors import AcdcError
from acdc.models.model import Model
from acdc.results import Evaluation
from acdc.runs.run import Run

#: In nats.
THRESHOLDS = (5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
FAITHFUL = 0.9


def chosen(model: Model, task: str, n: int, corruption: str, at_least: float = FAITHFUL) -> Run:
    """The run of the largest threshold whose circuit is faithful enough on as many held-out prompts.

    Args:
        model: an opened model.
        task: its name.
        n: prompt pairs to find the circuit on.
        corruption: how they are corrupted.
        at_least: how faithful the circuit must be.

    Raises:
        AcdcError: no threshold's circuit is.
    """
    for threshold in tqdm(THRESHOLDS, desc=f"{task} on {model.name}", leave=False):
        run = discover(model, task, threshold=threshold, n=n, corruption=corruption, split_input=True, progress=False)
        if faithful(run) >= at_least:
            return run
    raise AcdcError(f"{task} on {model.name}: no threshold gives a circuit that is {at_least:.0%} faithful.")


def faithful(run: Run) -> float:
    """How faithful a run's circuit is on held-out prompts; endlessly little where that isn't defined."""
    return share(held_out(run))


def share(evaluation: Evaluation) -> float:
    """How faithful a circuit is by KL; endlessly little where that isn't defined."""
    found = evaluation.share("circuit", "kl")
    return float("-inf") if found is None else found


def held_out(run: Run) -> Evaluation:
    """What a run measured on held-out prompts. Raises :class:`AcdcError` if it measured nothing on any."""
    if run.held_out is None:
        raise AcdcError("a run has no held-out prompts; take a task that makes some.")
    return run.held_out


def parser(about: str) -> argparse.ArgumentParser:
    """What a command that chooses circuits may be told."""
    found = argparse.ArgumentParser(description=about.split("\n")[0])
    found.add_argument("--n", type=int, default=200, help="prompt pairs for each circuit")
    found.add_argument("--faithful", type=float, default=FAITHFUL, help="how faithful each must be on held-out prompts")
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]], say: Callable[[str], None] = print) -> None:
    """Print a table in Markdown."""
    for row in (head, ["---"] * len(head), *rows):
        say(f"| {' | '.join(row)} |")
