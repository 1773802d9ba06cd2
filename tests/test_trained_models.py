"""The trained models that come with acdc do what their cards say."""

import re
from pathlib import Path

import pytest
import torch

import acdc
from acdc import bundled
from acdc.pairs.finding import find_task

ROOM = Path(bundled.__file__).parent
NAMES = ["modular-addition", "modular-subtraction", "modular-add-sub", "small-sorting", "small-multiplication"]
#: The least that a card may claim for held-out prompts, in per cent.
LEAST = {"small-multiplication": 60}
ROW = re.compile(r"^\| (\w+) \| held out \| ([\d.]+)% \| ([\d.]+)% \|", re.MULTILINE)
STEP = re.compile(r"^\| (\d+) \| ([\d.]+)% \| \S+ \| ([\d.]+)% \|", re.MULTILINE)


def card(name):
    return (ROOM / name / "README.md").read_text(encoding="utf-8")


def right(folder, task, split="test", seed=2, n=150):
    """The share of prompts whose every answer is the likeliest token."""
    model = acdc.load_model(folder, device="cpu")
    pairs = find_task(task).prompts(model.tokenizer, n, seed=seed, split=split).pairs
    with torch.no_grad():
        best = model.bridge(torch.tensor([pair.clean for pair in pairs])).argmax(-1)
    hits = [
        all(int(tokens[i]) in answers for i, answers in zip(pair.answer_positions, pair.answers, strict=True))
        for pair, tokens in zip(pairs, best, strict=True)
    ]
    return sum(hits) / n


@pytest.mark.parametrize("name", NAMES)
def test_held_out_prompts_are_answered_as_the_card_says(name):
    claims = ROW.findall(card(name))
    assert claims
    for task, all_right, _ in claims:
        assert float(all_right) >= LEAST.get(name, 98)
        assert right(ROOM / name, task) == pytest.approx(float(all_right) / 100, abs=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_is_known_and_how_to_make_the_model(name):
    text = card(name)
    _, front, body = text.split("---\n", 2)
    assert "license: mit\n" in front
    title, known = body.strip().split("\n\n")[:2]
    assert title == f"# {name}"
    assert known.endswith(".")
    for said in (f"scripts/train_models.py {name}", "seed 0", "weight decay"):
        assert said in text


def test_it_memorises_first_and_groks_later():
    steps = {int(step): (float(seen), float(held_out)) for step, seen, held_out in STEP.findall(card(NAMES[0]))}
    folders = {int(path.name.removeprefix("step-")) for path in (ROOM / NAMES[0]).glob("step-*")}
    assert len(folders) >= 5
    assert folders == set(steps) - {max(steps)}
    assert min(steps.values())[0] < 70
    # By heart: all that it has seen, and next to nothing of what it hasn't.
    assert any(seen > 99 and held_out < 10 for seen, held_out in steps.values())
    assert any(seen > 99 and 20 < held_out < 80 for seen, held_out in steps.values())
    assert steps[max(steps)][1] > 99


def test_checkpoints_do_what_the_card_says():
    for step, seen, held_out in STEP.findall(card(NAMES[0])):
        folder = ROOM / NAMES[0] / f"step-{step}"
        if folder.exists():
            assert right(folder, "modular_addition") == pytest.approx(float(held_out) / 100, abs=0.12)
            assert right(folder, "modular_addition", "train", 0) == pytest.approx(float(seen) / 100, abs=0.12)


def test_small_enough_to_ship():
    sizes = [path.stat().st_size for name in NAMES for path in (ROOM / name).rglob("*") if path.is_file()]
    assert sum(sizes) < 6 * 2**20
