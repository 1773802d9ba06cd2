"""A whole run of acdc by the clock, in a process of its own, with the code of a checkout that may be an old one.

    python -I engine_process.py JOB_FILE

Started by engine_runs.py, which says what the job file holds. Only what every version of acdc has is used: its public
names, the class of the pruner, and the TransformerLens bridge of a model. Where the process may be halted it says so,
a line a time, and waits for a line: so that of two that run side by side one computes at a time, stretch by stretch.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

#: Modules in which versions of acdc have the class that makes decisions, ``Acdc``.
PRUNERS = ("acdc.pruning.pruner", "acdc.methods.acdc")
#: Of so many forwards in front of the run, and of as many behind it, the quickest counts.
TRIES = 3


class Turns:
    """A clock that stands still while others have their turn.

    Args:
        length: of a turn, in seconds of the processor.
    """

    def __init__(self, length: float) -> None:
        self._length = length
        self._begun = self._halted = 0.0
        self._out, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no turn's end

    def now(self) -> tuple[float, float]:
        """Seconds of the processor, and of the wall's clock without those of others."""
        return time.process_time(), time.perf_counter() - self._halted

    def since(self, begin: tuple[float, float]) -> tuple[float, float]:
        """Seconds since then."""
        cpu, wall = self.now()
        return cpu - begin[0], wall - begin[1]

    def end(self) -> None:
        """Let others have their turn, and wait for the next one."""
        halted = time.perf_counter()
        print("turn", file=self._out, flush=True)
        if not sys.stdin.readline():
            sys.exit("nobody waits for this run any more.")
        self._halted += time.perf_counter() - halted
        self._begun = time.process_time()

    def end_if_long(self, _said: str = "") -> None:
        """Likewise, if this turn took its time."""
        if time.process_time() - self._begun > self._length:
            self.end()


def main() -> None:
    """Do what the job says, and write what it took."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    checkout = Path(job["checkout"]).resolve()
    turns = Turns(job["turn_s"])
    turns.end()
    begin = turns.now()
    sys.path.insert(0, str(checkout))
    import acdc

    refuse_others(checkout)
    model = acdc.load_model(job["model"])
    opening = turns.since(begin)
    decisions = timed_decisions(checkout, turns)
    forward = plain_forward(model, [pair["clean"] for pair in job["used"]], turns)
    plain = [forward() for _ in range(TRIES)]
    begin = turns.now()
    acdc.discover(
        model,
        given_task(job),
        n=len(job["used"]),
        threshold=job["threshold"],
        out=job["out"],
        progress=False,
        announce=turns.end_if_long,
    )
    whole = turns.since(begin)
    plain += [forward() for _ in range(TRIES)]
    refuse_others(checkout)  # those that the run has imported too
    rest = [all_of_it - of_decisions for all_of_it, of_decisions in zip(whole, decisions, strict=True)]
    found = {"opening": opening, "decisions": decisions, "rest": rest, "plain_forward": list(map(min, *plain))}
    found["device"] = str(model.device)
    Path(job["result"]).write_text(json.dumps(found), encoding="utf-8")


def refuse_others(checkout: Path) -> None:
    """End the process if a module of acdc comes from elsewhere."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] == "acdc" and file and not Path(file).resolve().is_relative_to(checkout):
            sys.exit(f"{name} is imported from {file}, which isn't in {checkout}.")


def timed_decisions(checkout: Path, turns: Turns) -> list[float]:
    """Seconds that deciding takes from now on, of the processor and on the wall; they grow as it does."""
    taken = [0.0, 0.0]
    pruner = _pruner(checkout)
    decide = pruner.decisions

    def decisions(self: Any) -> Iterator[Any]:
        found = decide(self)
        while True:
            turns.end_if_long()
            begin = turns.now()
            try:
                decision = next(found)
            except StopIteration:
                return
            finally:
                for place, seconds in enumerate(turns.since(begin)):
                    taken[place] += seconds
            yield decision

    pruner.decisions = decisions
    return taken


def _pruner(checkout: Path) -> Any:
    for name in PRUNERS:
        # Looked for as a file: a module that the checkout lacks would be taken from an acdc that is installed.
        if checkout.joinpath(*name.split(".")).with_suffix(".py").exists():
            found = getattr(import_module(name), "Acdc", None)
            if hasattr(found, "decisions"):
                return found
    sys.exit(f"there is no class Acdc that makes decisions in {' or '.join(PRUNERS)}.")


def plain_forward(model: Any, prompts: Sequence[Sequence[int]], turns: Turns) -> Callable[[], tuple[float, float]]:
    """What runs the model itself on all prompts, those of one length at a time, and gives the seconds that it took."""
    import torch

    lengths = sorted({len(prompt) for prompt in prompts})
    batches = [
        torch.tensor([prompt for prompt in prompts if len(prompt) == length], device=model.device) for length in lengths
    ]

    def forward() -> tuple[float, float]:
        begin = turns.now()
        with torch.no_grad():
            for batch in batches:
                model.bridge(batch)
        if batches[0].is_cuda:
            torch.cuda.synchronize()
        return turns.since(begin)

    return forward


def given_task(job: Mapping[str, Any]) -> Any:
    """The prompt pairs of the job as a task; versions differ in what they hold out of a file's."""
    import acdc

    generated = sys.modules[acdc.Task.__module__].Generated

    class Given(acdc.Task):
        """Prompt pairs that the benchmark has drawn."""

        name = job["task"]
        summary = "given prompt pairs"
        metric = job["metric"]
        corruptions: ClassVar = {"given": "the corrupted prompts as given"}

        def generate(self, tokenizer: Any, n: int, seed: int, split: str, corruption: str) -> Any:
            """The first pairs of a split."""
            rows = job["used" if split == "train" else "held_out"][:n]
            return generated([_pair(row) for row in rows])

    def _pair(row: Mapping[str, Any]) -> Any:
        return acdc.PromptPair(
            clean=tuple(row["clean"]),
            corrupted=tuple(row["corrupted"]),
            answers=tuple(map(tuple, row["answers"])),
            wrong_answers=tuple(map(tuple, row["wrong_answers"])),
            answer_positions=tuple(row["answer_positions"]),
        )

    return Given()


if __name__ == "__main__":
    main()
