"""Random models and prompts, and what is timed of them."""

import json

import numpy as np
import pytest
import torch
from shapes import Shape, ablated_metric, prompts_of, timed_run, write_model, write_pairs

import acdc
from acdc.errors import SettingsError


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(("changed", "vocab"), [(1, 50), (3, 50), (7, 50), (7, 2)])
def test_as_many_tokens_differ_as_asked_at_places_drawn_for_each_pair(tmp_path, changed, vocab):
    rows = lines(write_pairs(tmp_path / "p.jsonl", n=40, length=7, changed=changed, vocab_size=vocab))
    clean, corrupted = (np.array([row[f"{side}_tokens"] for row in rows]) for side in ("clean", "corrupted"))
    assert clean.shape == corrupted.shape == (40, 7)
    assert (np.stack([clean, corrupted]) >= 0).all()
    assert (np.stack([clean, corrupted]) < vocab).all()
    differs = clean != corrupted
    assert (differs.sum(1) == changed).all()
    assert differs.any(0).all()
    assert (len({tuple(row) for row in differs.tolist()}) > 1) == (changed < 7)


def test_tokens_that_differ_may_have_a_place(tmp_path):
    asked = {"n": 9, "length": 7, "changed": 3, "vocab_size": 5}
    drawn, placed = (lines(write_pairs(tmp_path / "p.jsonl", **asked, **more)) for more in ({}, {"first": 4}))
    assert [row["clean_tokens"] for row in drawn] == [row["clean_tokens"] for row in placed]
    for row in placed:
        differs = [one != two for one, two in zip(row["clean_tokens"], row["corrupted_tokens"], strict=True)]
        assert differs == [False] * 4 + [True] * 3


def test_pairs_follow_their_seed(tmp_path):
    def written(seed):
        return write_pairs(tmp_path / "p.jsonl", n=3, length=5, changed=2, vocab_size=9, seed=seed).read_text()

    assert written(0) == written(0) != written(1)


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"changed": 0}, {"changed": 6}, {"vocab_size": 1}, {"first": 4}, {"first": -1}]
)
def test_pairs_that_cant_be_are_refused(tmp_path, wrong):
    with pytest.raises(SettingsError):
        write_pairs(tmp_path / "p.jsonl", **{"n": 2, "length": 5, "changed": 2, "vocab_size": 9, **wrong})
    assert not list(tmp_path.iterdir())


def test_a_model_has_its_shape_and_weights_by_its_seed(tmp_path, tiny_shape):
    from safetensors.torch import load_file

    state = torch.get_rng_state()
    folders = [write_model(tmp_path / str(i), tiny_shape, seed=seed) for i, seed in enumerate((0, 0, 1))]
    assert torch.equal(torch.get_rng_state(), state)
    config = json.loads((folders[0] / "config.json").read_text())
    assert [config[name] for name in ("n_layer", "n_head", "n_embd", "vocab_size", "n_positions")] == [2, 2, 16, 50, 16]
    one, same, other = (load_file(folder / "model.safetensors")["transformer.wte.weight"] for folder in folders)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.std().item() == pytest.approx(0.05, rel=0.1)


def test_a_shape_must_be_a_models():
    with pytest.raises(SettingsError, match="multiple of the heads"):
        Shape(2, 3, 16, 50)
    with pytest.raises(SettingsError, match="at least 1"):
        Shape(0, 2, 16, 50)


def test_a_timed_run_is_a_run(tmp_path, tiny_model):
    pairs = write_pairs(tmp_path / "p.jsonl", n=3, length=6, changed=3, vocab_size=50)
    prompts = prompts_of(tiny_model, pairs)
    threshold = 0.02 * ablated_metric(tiny_model, prompts)
    found = acdc.discover(tiny_model, pairs, threshold=threshold, progress=False)
    assert found.record.metric_ablated == pytest.approx(50 * threshold)
    for engine in ("fast", "reference"):
        timed = timed_run(tiny_model, prompts, threshold, engine=engine)
        assert [d.edge for d in timed.decisions] == [d.edge for d in found.decisions]
        assert timed.kept == {d.edge for d in found.decisions if d.kept}
        assert 0 < len(timed.kept) < len(timed.decisions)
        assert timed.pruning.cpu > 0
        assert timed.seconds.wall == timed.setup.wall + timed.pruning.wall
