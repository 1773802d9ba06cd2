"""Published figures that benchmarks/methods.py prints beside ours on GPT-2, and which of them are in doubt."""

from __future__ import annotations

from collections.abc import Collection, Iterator

#: MIB (Mueller et al. 2025, arXiv 2504.13151), indirect objects in GPT-2 small: CMD (less is better) and CPR (more is).
#: Ours by the name of the method; ``None`` where acdc has no such.
MIB_IOI = (
    (
        "random",
        "Random",
        0.75,
        0.25,
        "what any curve of zeros below the full model gives: a quarter is the model's own",
    ),
    ("patching", "EActP (counterfactual)", 0.02, 2.30, ""),
    ("eap", "EAP (counterfactual)", 0.03, 1.20, ""),
    ("eap-ig", "EAP-IG, inputs", 0.03, 1.85, "five steps and the left rule, whose end of the grid moves the scores"),
    (
        "eap-ig-activations",
        "EAP-IG, activations",
        0.03,
        1.82,
        "in doubt: as coded, each pass scores all edges, so that a node's don't add up to its effect; ours do",
    ),
    (None, "NAP (nodes)", 0.38, 0.28, "in doubt: an MLP's output difference met the gradient at its input"),
    (None, "NAP-IG (nodes)", 0.27, 0.76, "in doubt, as NAP"),
    (
        "ifr",
        "Information flow routes",
        0.42,
        0.58,
        "all heads of a layer tie: which are taken is an accident of sorting",
    ),
    ("ugs", "UGS", 0.03, 0.97, ""),
)


def published(cases: Collection[str]) -> Iterator[str]:
    """Published figures of the cases that ran, as Markdown; nothing where there are none."""
    if "gpt2-ioi" not in cases:
        return
    yield from ("", "**Published** (MIB, `ioi` in GPT-2 small, other prompts and templates than ours)", "")
    yield "| method | in MIB | CMD | CPR | note |"
    yield "|---|---|--:|--:|---|"
    for ours, theirs, cmd, cpr, note in MIB_IOI:
        yield f"| {f'`{ours}`' if ours else ''} | {theirs} | {cmd:.2f} | {cpr:.2f} | {note} |"
