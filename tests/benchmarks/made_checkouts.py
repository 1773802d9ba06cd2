"""Checkouts of a small package `acdc` that decides at once, with a `torch` beside it: processes start in no time."""

_TORCH = """
class _Tensor:
    is_cuda = False

class no_grad:
    def __enter__(self): pass
    def __exit__(self, *_): pass

def tensor(rows, device): return _Tensor()
"""
_ACDC = """
import json, time
from types import SimpleNamespace
from acdc.tasks_room import Task
from acdc.pruning.pruner import Acdc

class PromptPair:
    def __init__(self, **fields): self.__dict__.update(fields)

def load_model(folder): return SimpleNamespace(device="cpu", bridge=lambda ids: sum(range(1000)))

def burn(seconds):
    begin = time.process_time()
    while time.process_time() - begin < seconds: pass

def discover(model, task, *, n, threshold, out, progress, announce):
    from pathlib import Path
    used, held_out = (task.generate(None, n, 0, split, "given").pairs for split in ("train", "test"))
    burn({rest})
    announce("beginning")
    lines = list(Acdc().decisions())
    out = Path(out)
    out.mkdir()
    (out / "trace.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in lines))
    kept = sum(line["kept"] for line in lines)
    record = dict(graph=dict(edges=9), tried=len(lines), kept=kept, in_circuit=kept, noise_floor=1e-6,
                  hashes=dict(data=str([pair.clean for pair in used])), estimated_memory_bytes=2, peak_memory_bytes=1,
                  results=dict(used=dict(n_prompts=len(used)), held_out=dict(n_prompts=len(held_out), kl={kl})))
    (out / "run.json").write_text(json.dumps(record))
"""
_PRUNER = """
import time
import acdc

class Acdc:
    def decisions(self):
        for edge, after, kept in {decisions!r}:
            acdc.burn({seconds})
            with open({log!r}, "a") as file:
                file.write({name!r})
            yield dict(edge=edge, before=0.0, after=after, kept=kept)
"""
_TASKS = """
from types import SimpleNamespace

def Generated(pairs): return SimpleNamespace(pairs=pairs)

class Task: pass
"""


def made_checkout(folder, decisions, *, log, name="a", seconds=0.01, rest=0.0, kl=0.5):
    """Write one.

    Args:
        folder: where.
        decisions: edge, value and whether it stayed, of each.
        log: a file that gets `name` with every decision.
        seconds: of the processor, for each.
        rest: likewise, for all else.
        kl: a number in its results.
    """
    files = {
        "torch.py": _TORCH,
        "acdc/__init__.py": _ACDC.replace("{rest}", str(rest)).replace("{kl}", str(kl)),
        "acdc/tasks_room.py": _TASKS,
        "acdc/pruning/__init__.py": "",
        "acdc/pruning/pruner.py": _PRUNER.format(decisions=decisions, seconds=seconds, log=str(log), name=name),
    }
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder
