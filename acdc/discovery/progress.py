"""Running a pruner to its end, with a bar and checkpoints."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from acdc.decision import Decision
from acdc.errors import RunInterrupted
from acdc.pruning.pruner import Acdc
from acdc.runs.folder import RunFolder
from acdc.wording import one_line

#: The record is written at least this often; the trace at every decision.
CHECKPOINT_SECONDS = 30.0


def run_pruner(
    pruner: Acdc,
    metric: str,
    folder: RunFolder | None,
    record: dict[str, Any],
    *,
    progress: bool,
) -> list[Decision]:
    """Run a pruner to its end.

    Args:
        pruner: the pruner; past decisions in its folder's trace are replayed.
        metric: name of the metric, for the bar.
        folder: where decisions go, if anywhere.
        record: its ``seconds`` are kept up to date.
        progress: show a bar.

    Returns:
        All decisions, those of an interrupted run first.

    Raises:
        RunInterrupted: Ctrl-C; the decisions so far are in the folder.
    """
    decisions: list[Decision] = [] if folder is None else list(folder.trace.past)
    started = saved = time.monotonic()
    shown = one_line(metric)
    stderr = sys.stderr  # a program without a console has none
    seen = stderr is not None and stderr.isatty()
    earlier = record["seconds"]
    bar = tqdm(
        total=pruner.engine.graph.n_edges,
        unit="edge",
        disable=not progress or stderr is None,
        dynamic_ncols=True,
        mininterval=0.1 if seen else 10,  # in a log file, a line every ten seconds is enough
    )
    slot = ""
    try:
        for decision in pruner.decisions():
            decisions.append(decision)
            at = decision.before if decision.kept else decision.after
            bar.set_postfix_str(f"tried {pruner.n_tried}, kept {pruner.n_kept}, {shown} {at:.4g}", refresh=False)
            bar.update(pruner.n_settled - bar.n)
            if folder is None:
                continue
            folder.trace.append(decision)
            if decision.edge.partition("->")[2] != slot:
                slot = decision.edge.partition("->")[2]
                folder.trace.sync()
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                saved = time.monotonic()
                folder.checkpoint(earlier + saved - started)
        bar.update(pruner.n_settled - bar.n)
    except KeyboardInterrupt as interrupt:
        if folder is None:
            raise
        raise RunInterrupted(folder.path) from interrupt
    finally:
        bar.close()
        record["seconds"] = earlier + time.monotonic() - started
        if folder is not None:
            folder.checkpoint(record["seconds"])
    return decisions
