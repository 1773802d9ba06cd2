"""acdc and EAP-IG side by side: scores, seconds and memory, and what they say of nodes beside brute force.

EAP-IG (Hanna et al. 2024, arXiv 2403.17806) isn't in the package index; its users give ``peers.py`` a checkout. A copy
of its sources runs on the processor, in the environment that ``peers.py`` makes for AutoCircuit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from eap_ig_rows import Comparison, Nodes, Pace, agreement_of, as_json, notes_of, print_all
from peer_process import PeerError, environment, run_peer
from shapes import Shape, prompts_of, write_model, write_pairs

from acdc.cli.printing import say
from acdc.engine.circuits import run as run_circuits
from acdc.engine.setting import Setting, prepare
from acdc.errors import SettingsError
from acdc.files import atomic_write
from acdc.methods.registry import find_method
from acdc.metrics import find_metric
from acdc.models.loading import load_model
from acdc.runs.environment import versions

URL, COMMIT = "https://github.com/hannamw/EAP-IG", "795f560"
#: Of that commit's sources, by :func:`_fingerprint`.
KNOWN = "247d7d9ab383c14c"
PACKAGE = Path("src", "eap")
MODULES = ("attribute", "attribute_node", "evaluate", "graph", "utils", "visualization")
#: What is on the processor instead of a GPU.
DEVICES = {"'cuda'": "'cpu'", '"cuda"': '"cpu"'}

#: acdc's methods with their options, and EAP-IG's names of them with its `ig_steps`.
STEPS = 5
METHODS: Mapping[str, tuple[dict[str, Any], str, int | None]] = {
    "eap": ({}, "EAP", None),
    "eap-ig": ({"steps": STEPS, "rule": "left"}, "EAP-IG-inputs", STEPS),
}
#: Nodes are patched one by one, at every step of an integral: that's for a small model.
NODE_SHAPE = Shape(n_layers=2, n_heads=4, d_model=128, vocab_size=5000)
NODE_STEPS = 40
#: Logits may differ by rounding: by no more than this share of the largest.
LOGITS_TOLERANCE = {"float32": 1e-3, "float64": 1e-9}
#: The quickest of so many times counts.
REPEATS = 3


@dataclass(frozen=True)
class Sources:
    """EAP-IG's sources as they run.

    Attributes:
        folder: that of the copy.
        changed: whether they are another revision's than :data:`COMMIT`'s, or have been edited.
    """

    folder: Path
    changed: bool


def copied(checkout: Path, folder: Path) -> Sources:
    """Copy the package of a checkout, to run on the processor; the checkout is only read.

    Raises:
        SettingsError: it isn't one.
    """
    package, target = checkout / PACKAGE, folder / "eap"
    try:
        missing = [name for name in MODULES if not (package / f"{name}.py").is_file()]
        if missing:
            raise SettingsError(
                f"{checkout}: that is no checkout of EAP-IG, it has no {PACKAGE.as_posix()}/{missing[0]}.py; "
                f"clone {URL} and check out {COMMIT}."
            )
        texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(package.glob("*.py"))}
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{package}: its Python files aren't all text in UTF-8; check out {COMMIT} anew."
        ) from error
    except OSError as error:
        raise SettingsError(f"{error.filename}: {error.strerror}.") from error
    target.mkdir(parents=True)
    for name, text in texts.items():
        for theirs, ours in DEVICES.items():
            text = text.replace(theirs, ours)
        (target / name).write_text(text, encoding="utf-8")
    return Sources(folder, changed=_fingerprint(texts) != KNOWN)


def _fingerprint(texts: Mapping[str, str]) -> str:
    """Of the modules that are used, whatever ends their lines."""
    return sha256("\0".join(texts[f"{name}.py"] for name in MODULES).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Case:
    """A random model and prompts with answers, as files."""

    model: Path
    prompts: Path

    def job(self, dtype: str, threads: int) -> dict[str, Any]:
        """What both sides are told."""
        return {"model": str(self.model), "prompts": str(self.prompts), "dtype": dtype, "threads": threads}


def _case(size: Shape, folder: Path, asked: Mapping[str, int], seed: int) -> Case:
    model, prompts = write_model(folder / "model", size, seed=seed), folder / "pairs.jsonl"
    write_pairs(prompts, **asked, vocab_size=size.vocab_size, seed=seed)
    draw = np.random.default_rng(seed)
    rows = [json.loads(line) for line in prompts.read_text().splitlines()]
    with atomic_write(prompts) as file:
        for row in rows:
            right, wrong = draw.choice(size.vocab_size, 2, replace=False).tolist()
            file.write(json.dumps({**row, "answer_token": right, "wrong_answer_token": wrong}) + "\n")
    return Case(model, prompts)


@dataclass(frozen=True)
class Sides:
    """Who is asked, and how.

    Attributes:
        python, sources: EAP-IG's.
        scratch: a folder for jobs and results.
    """

    python: Path
    sources: Sources
    scratch: Path

    def theirs(self, job: dict[str, Any], total: int) -> dict[str, Any]:
        """What EAP-IG makes of a job."""
        job = {**job, "sources": str(self.sources.folder)}
        return run_peer(self.python, "peer_eap_ig.py", job, self.scratch, title="EAP-IG", unit="time", total=total)


def _ours(job: dict[str, Any], scratch: Path, total: int) -> dict[str, Any]:
    """What acdc makes of a job, in a process of its own as the peer."""
    return run_peer(Path(sys.executable), "eap_ig_ours.py", job, scratch, title="acdc", unit="time", total=total)


def compare(
    checkout: Path,
    shape: str,
    size: Shape,
    scratch: Path,
    *,
    n: int,
    length: int,
    changed: int,
    seed: int,
    threads: int,
    venv: Path,
) -> dict[str, Any]:
    """Measure both sides, print what came out, and give it as data for JSON.

    Args:
        checkout: EAP-IG's.
        shape: what the random GPT-2 is called.
        size: the same in numbers.
        scratch: an empty folder.
        n: prompt pairs.
        length: tokens of a prompt.
        changed: tokens that differ within a pair.
        seed: of weights, prompts and answers.
        threads: of each side.
        venv: see :func:`peer_process.environment`.

    Raises:
        AcdcError: the checkout isn't one, or such prompts can't be made.
    """
    sources = copied(checkout, scratch / "sources")
    asked = {"n": n, "length": length, "changed": changed}
    say(
        f"random GPT-2 ({shape}); {n} prompt pairs of {length} tokens, {changed} of which differ; "
        f"metric: minus the logit difference; threads: {threads}"
    )
    cases = tuple(_case(one, scratch / name, asked, seed) for name, one in (("asked", size), ("small", NODE_SHAPE)))
    found = _measured(cases, sources, scratch, n, threads, venv)
    notes = notes_of(found, factor=n, commit=COMMIT, changed=sources.changed)
    print_all(found, notes)
    return {
        "shape": {"name": shape, **asdict(size)},
        "prompts": asked,
        "seed": seed,
        "threads": threads,
        "steps": STEPS,
        "commit": None if sources.changed else COMMIT,
        "versions": {"acdc": versions(), "EAP-IG": found.versions},
        **as_json(found),
        "notes": notes,
    }


def _measured(cases: tuple[Case, ...], sources: Sources, scratch: Path, n: int, threads: int, venv: Path) -> Comparison:
    """All of it: edges on the first case, nodes on the second; where the peer can't run, acdc alone."""
    found = Comparison()
    try:
        sides = Sides(environment(venv), sources, scratch)
        _edges(cases[0], sides, threads, n, found)
        found.nodes = _nodes(cases[1], sides, threads, n)
    except PeerError as error:
        found.failure = str(error)
        found.paces = found.paces or _alone(cases[0], scratch, threads)
    return found


def _edges(case: Case, sides: Sides, threads: int, n: int, found: Comparison) -> None:
    """Compare edges' scores, in float64 and float32, and, in float32, what they take."""
    alone = [[name] for name in METHODS]  # memory is a process's
    for dtype, repeats, groups in (("float64", 1, [list(METHODS)]), ("float32", REPEATS, alone)):
        for group in groups:
            job, total = {**case.job(dtype, threads), "repeats": repeats}, repeats * len(group)
            mine = _ours({**job, "methods": {name: METHODS[name][0] for name in group}}, sides.scratch, total)
            theirs = sides.theirs({**job, "methods": dict(METHODS[name][1:] for name in group)}, total)
            found.versions = theirs["versions"]
            _check_same(theirs, mine, dtype)
            for name in group:
                one, other = mine["methods"][name], theirs["methods"][METHODS[name][1]]
                found.agreements.append(agreement_of(name, dtype, one["scores"], other["scores"], n))
                if dtype == "float32":
                    found.paces += [Pace("acdc", name, one), Pace("EAP-IG", name, other)]


def _alone(case: Case, scratch: Path, threads: int) -> list[Pace]:
    """What acdc's methods take, where there is nothing beside them."""
    job = {**case.job("float32", threads), "repeats": REPEATS}
    ran = {
        name: _ours({**job, "methods": {name: options}}, scratch, REPEATS) for name, (options, *_) in METHODS.items()
    }
    return [Pace("acdc", name, found["methods"][name]) for name, found in ran.items()]


def _check_same(theirs: dict[str, Any], ours: dict[str, Any], dtype: str) -> None:
    """Raise :class:`PeerError` if model or graph aren't the same."""
    one, other = (torch.tensor(side["logits"], dtype=torch.float64) for side in (theirs, ours))
    difference = float((one - other).abs().max())
    if not difference <= LOGITS_TOLERANCE[dtype] * float(other.abs().max()):
        raise PeerError(f"its logits differ by {difference:.2g}: it runs another model.")
    edges = [set(method["scores"]) for side in (theirs, ours) for method in side["methods"].values()]
    if any(some != edges[0] for some in edges):
        raise PeerError("its graph has other edges.")


def _nodes(case: Case, sides: Sides, threads: int, n: int) -> Nodes:
    """What both say of nodes in float64, and brute force through TransformerLens' hooks beside it.

    What is averaged as scores of edges are is multiplied by the number of prompts, as they are.
    """
    theirs = sides.theirs({**case.job("float64", threads), "nodes": NODE_STEPS}, 5)["nodes"]
    model = load_model(case.model, device="cpu", dtype="float64")
    setting = prepare(model, prompts_of(model, case.prompts))
    metric = find_metric("logit-diff")
    names = [node.name for node in setting.graph.sources]

    def scores(method: str, **options: Any) -> dict[str, float]:
        return _by_source(setting, find_method(method, **options).find(setting, metric).scores)

    def of(key: str, factor: int) -> dict[str, float]:
        return {name: factor * theirs[key][name] for name in names}

    return Nodes(
        names,
        NODE_STEPS,
        patched={
            "by hooks": of("patched", 1),
            "acdc": _patched(setting),
            "EAP-IG, nodes, exact": of("exact", 1),
            "acdc, eap-ig-activations": scores("eap-ig-activations", steps=NODE_STEPS),
            "EAP-IG-activations": of("activations", n),
        },
        slope={
            "by differences": of("slope", 1),
            "acdc, eap": scores("eap"),
            "EAP-IG, nodes, EAP": of("node-level EAP", n),
        },
    )


def _by_source(setting: Setting, scores: np.ndarray) -> dict[str, float]:
    """Scores of the edges out of each node, summed."""
    sums = dict.fromkeys((node.name for node in setting.graph.sources), 0.0)
    for edge in setting.graph.edges():
        sums[edge.source.name] += float(scores[edge.number])
    return sums


def _patched(setting: Setting) -> dict[str, float]:
    """What the circuit costs that lacks every edge out of a node, for each of them."""
    names = [node.name for node in setting.graph.sources]
    kept = np.array([[edge.source.name != name for edge in setting.graph.edges()] for name in names])
    cost: Callable[..., torch.Tensor] = find_metric("logit-diff").per_prediction
    found = (cost(logits, setting.model_logits, setting.answers).mean() for logits in run_circuits(setting, kept))
    return dict(zip(names, map(float, found), strict=True))
