"""What of a file or a list is used, and what is held out."""

import json
import random

import pytest
from tiny import pairs, write_pairs

import acdc
from acdc.errors import AcdcWarning, PromptError
from acdc.pairs import PromptPair
from acdc.pairs.finding import find_task
from acdc.pairs.task import Generated, Task


def listed(n=20, **tags):
    """Pairs of token ids, each with another clean prompt."""
    return [PromptPair((i, 1), (i, 2), where=str(i), tags={k: f(i) for k, f in tags.items()}) for i in range(n)]


def places(given, n, split, seed=0):
    made = find_task(given).generate(None, n, seed, split, "given")
    return [int(pair.where) for pair in made.pairs]


def test_the_seed_draws_the_pairs_which_keep_their_order():
    drawn = [(places(listed(), 8, "train", seed), places(listed(), 8, "test", seed)) for seed in range(5)]
    assert len({tuple(train) for train, _ in drawn}) == 5
    for train, test in drawn:
        assert train == sorted(train)
        assert test == sorted(test)
        assert len(train) == len(test) == 8
        assert not set(train) & set(test)
    assert any(max(train) > min(test) for train, test in drawn)  # not the file's tail


def test_the_draw_is_the_same_everywhere():
    """By hashes alone: not by Python's own hash, its version, or the order of the file."""
    assert places(listed(), 6, "train", 3) == [0, 4, 10, 15, 16, 19]
    assert places(listed(), 6, "test", 3) == [1, 3, 9, 12, 14, 18]
    mixed = listed()
    random.Random(1).shuffle(mixed)
    assert sorted(places(mixed, 6, "train", 3)) == [0, 4, 10, 15, 16, 19]


def test_all_pairs_are_used_in_their_order_and_a_larger_n_only_adds():
    assert places(listed(), 20, "train", 7) == list(range(20))
    assert set(places(listed(), 5, "train", 7)) < set(places(listed(), 9, "train", 7))


@pytest.mark.parametrize("seed", range(8))
def test_pairs_of_one_clean_prompt_are_never_on_both_sides(seed):
    twice = listed(10) + [PromptPair((i, 1), (i, 2 + i % 2), where=str(10 + i)) for i in range(10)]
    for n in (3, 4, 9):
        train, test = places(twice, n, "train", seed), places(twice, n, "test", seed)
        assert len(train) == n
        assert not {i % 10 for i in train} & {i % 10 for i in test}


@pytest.mark.parametrize("seed", range(8))
def test_a_group_is_never_on_both_sides(seed):
    grouped = listed(20, group=lambda i: i % 5)
    for n in (3, 4, 9):
        train, test = places(grouped, n, "train", seed), places(grouped, n, "test", seed)
        assert len(train) == n
        assert test
        assert not {i % 5 for i in train} & {i % 5 for i in test}


def test_groups_hang_together_by_equal_pairs():
    """Group a has a prompt that stands in group b too: nothing can be held out."""
    chained = [PromptPair((i // 2, 1), (i, 2), where=str(i), tags={"group": (i + 1) // 2}) for i in range(8)]
    with pytest.raises(PromptError, match="all pairs have a group or a clean prompt in common with those that are"):
        places(chained, 3, "test")


def test_the_way_out_where_all_pairs_are_one_group():
    with pytest.raises(PromptError, match="with those that are used; mark some as test to hold them out"):
        places(listed(6, group=lambda i: 1), 2, "test")


def test_marks_decide():
    marked = listed(12, split=lambda i: ["train", "Test", "val"][i % 3])
    assert find_task(marked).default_n == 4
    for seed in (0, 1):
        assert places(marked, 4, "train", seed) == [0, 3, 6, 9]
        assert places(marked, 4, "test", seed) == [1, 4, 7, 10]
        assert len(places(marked, 2, "test", seed)) == 2
    assert find_task(marked).prompts(None).left_out == {"validation pairs": 4}
    with pytest.raises(PromptError, match="has 4 prompt pairs, not 5"):
        places(marked, 5, "train")


def test_a_marked_pair_whose_prompt_is_used_is_not_held_out():
    marked = [
        PromptPair((1, 1), (2, 2), where="0", tags={"split": "train"}),
        PromptPair((1, 1), (3, 3), where="1", tags={"split": "test"}),
        PromptPair((4, 4), (2, 2), where="2", tags={"split": "test"}),
    ]
    assert places(marked, 1, "test") == [2]
    assert find_task(marked).prompts(None).left_out == {"held-out pairs with the clean prompt of a used one": 1}


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ([{"split": "train"}, {}], "1: it has no 'split', though other pairs have one; mark all or none."),
        ([{"split": "trian"}] * 2, "0: 'split' must be train, test or validation, not 'trian'."),
        ([{"split": 1}] * 2, "0: 'split' must be train, test or validation, not 1."),
        ([{"split": ["train"]}] * 2, "0: 'split' must be train, test or validation, not ['train']."),
        ([{"group": {}}, {}], "0: 'group' must be text or a number, not {}."),
        (
            [{"split": "train", "group": 7}, {"split": "test", "group": 7}],
            "1: its 'group' '7' is in test, and in train too (0); a group is on one side.",
        ),
        ([{"split": "test"}] * 2, "prompt pairs: no pair is marked as train; nothing can be used."),
    ],
)
def test_marks_that_make_no_sense(tags, said):
    given = [PromptPair((i, 1), (i, 2), where=str(i), tags=tag) for i, tag in enumerate(tags)]
    with pytest.raises(PromptError) as caught:
        find_task(given).prompts(None)
    assert str(caught.value) == said


def test_fields_and_columns_mark_too(tmp_path):
    rows = [{"clean": f"a {i}", "corrupted": "b", "split": "test" if i < 2 else "train", "group": i} for i in range(5)]
    write_pairs(tmp_path / "pairs.jsonl", rows)
    lines = ["clean,corrupted,split,group", *(f"a {i},b,{row['split']},g{i}" for i, row in enumerate(rows))]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    for name in ("pairs.jsonl", "pairs.csv"):
        task = find_task(tmp_path / name)
        assert task.default_n == 3
        assert [pair.clean for pair in task.generate(None, 3, 0, "test", "file").pairs] == ["a 0", "a 1"]


def test_a_file_that_is_grouped_by_name_is_drawn_from_everywhere(tmp_path):
    rows = [row | {"name": i // 5} for i, row in enumerate(pairs(20))]
    task = find_task(write_pairs(tmp_path / "tail.jsonl", rows))
    held_out = {pair.tags["name"] for seed in range(4) for pair in task.generate(None, 10, seed, "test", "file").pairs}
    assert held_out == {0, 1, 2, 3}


class Drawn(Task):
    """Gives the same pairs whatever the split."""

    name = "drawn"
    summary = "pairs"
    metric = "kl"
    corruptions = {"other": "other tokens"}  # noqa: RUF012
    shared = 4

    def generate(self, tokenizer, n, seed, split, corruption):
        """The first `shared` of four pairs are those of train."""
        start = 0 if split == "train" else 4 - self.shared
        return Generated(listed(12)[start : start + n])


class Half(Drawn):
    """Half of what is held out is used."""

    shared = 2


@pytest.mark.parametrize(("task", "share"), [(Drawn, r"4 of 4 held-out pairs \(100%\)"), (Half, r"2 of 4 .*\(50%\)")])
def test_a_task_whose_splits_overlap_gives_no_held_out_result(gpt2_model, task, share):
    with pytest.warns(AcdcWarning, match=f"no result on held-out prompts: drawn: {share}"):
        run = acdc.discover(gpt2_model, task, n=4, progress=False)
    assert run.record.results.held_out is None
    assert "keep the splits of the task apart" in run.record.no_held_out


def test_a_task_that_keeps_its_splits_apart_has_one(gpt2_model):
    run = acdc.discover(gpt2_model, type("Apart", (Drawn,), {"shared": 0}), n=4, progress=False)
    assert run.record.results.held_out.n_prompts == 4
    assert run.record.no_held_out is None


def test_a_task_that_fails_on_held_out_prompts_does_not_cost_the_run(gpt2_model):
    class Late(Drawn):
        def generate(self, tokenizer, n, seed, split, corruption):
            if split == "test":
                raise ZeroDivisionError("no such split")
            return super().generate(tokenizer, n, seed, split, corruption)

    run = acdc.discover(gpt2_model, Late(), n=4, progress=False)
    assert run.record.no_held_out == "task drawn: making prompts failed: ZeroDivisionError: no such split."


@pytest.mark.random_models
def test_the_seed_of_a_run_draws_what_is_held_out(gpt2_model, tmp_path):
    path = write_pairs(tmp_path / "pairs.jsonl", pairs(12, vocab=11))  # tokens of its tokenizer
    data = {
        acdc.discover(gpt2_model, path, n=4, seed=seed, threshold=1.0, progress=False).record.hashes["data"]
        for seed in range(3)
    }
    assert len(data) == 3


def test_a_whole_file_has_the_same_data_whatever_the_seed(tmp_path):
    path = write_pairs(tmp_path / "pairs.jsonl", pairs(6))
    prompts = [find_task(path).prompts(None, seed=seed) for seed in (0, 5)]
    assert prompts[0].sha256() == prompts[1].sha256()
    assert [list(pair.clean) for pair in prompts[0].pairs] == [row["clean_tokens"] for row in pairs(6)]
    assert json.dumps(prompts[0].left_out) == "{}"
