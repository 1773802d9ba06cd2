"""The loop that trains acdc's own models: what it learns, that it can be repeated, and what it writes."""

from dataclasses import replace

import pytest
import torch
import train_models
from train_models import RECIPES, make
from training import (
    Example,
    Plan,
    Shape,
    batches,
    by_length,
    collated,
    cross_entropy,
    examples,
    measure,
    new_model,
    train,
)

import acdc
from acdc.pairs import TokenPair

SHAPE = Shape(layers=2, heads=2, width=8, positions=4)


@pytest.fixture
def recipe(monkeypatch):
    """A recipe of a few steps."""
    monkeypatch.setattr(train_models, "N_TEST", 20)
    plan = Plan(steps=5, rate=1e-2, decay=0.1, batch={"modular_addition": 16}, warm_up=1, penalty=1e-3)
    return replace(RECIPES["modular-addition"], pairs={"modular_addition": 30}, plan=plan, checkpoints=(2,))


@pytest.fixture(autouse=True)
def _torch_as_it_was():
    """Training has torch compute on one thread and in one way alone; other tests don't ask for that."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def pair(clean, corrupted, answer, corrupted_answer=None, wrong=9):
    known = () if corrupted_answer is None else ((corrupted_answer,),)
    return TokenPair(
        clean=clean,
        corrupted=corrupted,
        answers=((answer,),),
        wrong_answers=((wrong,),),
        answer_positions=(len(clean) - 1,),
        corrupted_answers=known,
    )


def test_a_seed_gives_the_same_model_whatever_lies_in_the_folder(recipe, tmp_path, capsys):
    for folder, seed in (("one", 0), ("other", 1), ("again", 0), ("one", 0)):
        make("a-model", recipe, tmp_path / folder, seed)
    found = {folder: (tmp_path / folder / "model.safetensors").read_bytes() for folder in ("one", "other", "again")}
    assert found["one"] == found["again"]
    assert found["one"] != found["other"]
    # A checkpoint is another model, and the same one each time.
    steps = [(tmp_path / folder / "step-2" / "model.safetensors").read_bytes() for folder in ("one", "again")]
    assert steps[0] == steps[1] != found["one"]


@pytest.mark.random_models
def test_what_it_writes_opens_and_says_how_it_was_made(recipe, tmp_path, capsys):
    make("a-model", recipe, tmp_path / "a-model", 0)
    card = (tmp_path / "a-model" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: mit\n")
    head, first = card.split("---\n")[2].strip().split("\n\n")[:2]
    assert (head, " ".join(first.split())) == ("# a-model", recipe.known)
    for said in ("| modular_addition | held out |", "a-model/step-2", "AdamW, 5 steps", "seed 0", "group penalty"):
        assert said in card
    assert max(map(len, card.splitlines())) <= 120
    for folder in ("a-model", "a-model/step-2"):
        model = acdc.load_model(tmp_path / folder, device="cpu")
        assert len(acdc.find_task("modular_addition").prompts(model.tokenizer, 5).pairs) == 5
    assert not (tmp_path / "a-model" / "generation_config.json").exists()


def test_it_learns():
    data = {"a": [Example((1, 2), {1: (3,)}), Example((2, 1), {1: (4,)})]}
    model = new_model(SHAPE, 10, None, 0)
    before = cross_entropy(model, [collated(data["a"])]).item()
    called = []
    train(model, batches(data, None, 0), Plan(steps=60, rate=1e-2, decay=0.0), called.append)
    assert cross_entropy(model, [collated(data["a"])]).item() < 0.2 < before
    assert called == list(range(1, 61))
    figures = measure(model, [pair((1, 2), (2, 1), 3), pair((2, 1), (1, 2), 3)])
    assert (figures.n, figures.right, figures.each, figures.in_turn) == (2, 0.5, 0.5, (0.5,))
    twice = replace(pair((1, 2), (2, 1), 3), answers=((9,), (3,)), wrong_answers=((3,), (9,)), answer_positions=(0, 1))
    figures = measure(model, [twice])
    assert (figures.right, figures.each, figures.in_turn) == (0, 0.5, (0, 1))


def test_the_penalty_silences():
    data = {"a": [Example((1, 2), {1: (3,)})]}
    written = []
    for penalty in (0.0, 1.0):
        model = new_model(SHAPE, 10, None, 0)
        train(model, batches(data, None, 0), Plan(steps=60, rate=1e-2, decay=0.0, penalty=penalty))
        written.append(sum(block.mlp.c_proj.weight.norm().item() for block in model.transformer.h))
    assert written[1] < written[0]


def test_right_answers_share_what_is_likely():
    model = new_model(SHAPE, 10, None, 0)
    log_probs = model(torch.tensor([[1, 2, 0], [1, 2, 5]])).logits.log_softmax(-1)
    batch = collated([Example((1, 2), {1: (3, 4)}), Example((1, 2, 5), {2: (6,)})])
    expected = -(log_probs[0, 1, [3, 4]].mean() + log_probs[1, 2, 6]) / 2
    torch.testing.assert_close(cross_entropy(model, [batch]), expected)


def test_corrupted_prompts_are_learned_where_their_answers_are_known():
    pairs = [pair((1, 2), (2, 2), 3, 4), pair((1, 2), (2, 1), 3), pair((3, 2), (2, 2), 5, 4)]
    clean = [Example((1, 2), {1: (3,)}), Example((3, 2), {1: (5,)})]
    assert examples(pairs) == clean
    assert sorted(examples(pairs, corrupted=True), key=lambda one: one.tokens) == [
        clean[0],
        Example((2, 2), {1: (4,)}),
        clean[1],
    ]


def test_a_batch_has_as_many_of_each_task_as_asked():
    data = {"a": [Example((1,), {0: (3,)})], "b": [Example((2,), {0: (4,)}), Example((5,), {0: (4,)})]}
    assert next(batches(data, None, 0))[0].tokens.tolist() == [[1], [2], [5]]
    drawn = [token for part in next(batches(data, {"a": 3, "b": 2}, 0)) for token in part.tokens.squeeze(1).tolist()]
    assert drawn[:3] == [1, 1, 1]
    assert set(drawn[3:]) <= {2, 5}


def test_the_rate_rises_stays_and_falls():
    plan = Plan(steps=100, rate=1.0, decay=0.0, warm_up=10, fall=0.2)
    rates = [plan.rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:80] == [1.0] * 70
    assert rates[80:] == sorted(rates[80:], reverse=True)
    assert rates[99] == pytest.approx(0.05)


def test_prompts_of_different_lengths_are_parted_and_count_alike():
    model = new_model(SHAPE, 10, None, 0)
    chosen = [Example((1, 2), {1: (3, 4)}), Example((1, 2, 5, 6), {2: (6,), 3: (8,)})]
    parts = by_length(chosen)
    assert [list(part.tokens.shape) for part in parts] == [[1, 2], [1, 4]]
    torch.testing.assert_close(cross_entropy(model, parts), cross_entropy(model, [collated(chosen)]))
    assert len(by_length(chosen[1:])) == 1
