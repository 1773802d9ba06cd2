"""What a model does on a task's prompts: figures, groups, spread, the worst, and how many pairs would do."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import acdc
from acdc import PromptPair, check_task
from acdc.evaluation.judgement import JudgedPrompt
from acdc.evaluation.task_figures import TaskFigures
from acdc.pairs.task import Generated, Task
from acdc.results import Behaviour

PRONOUNS = acdc.find_task("pronouns")
pytestmark = pytest.mark.random_models


def pairs(n=12):
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randint(1, 11, (n, 2, 5), generator=generator).tolist()
    return [
        PromptPair(
            tuple(clean),
            tuple(corrupted),
            ((1 + i % 3, 4), (2 + i % 3,)),
            ((9,), (10, 11)),
            (2, -1),
            where=f"pair {i}",
            tags={"template": "ab"[i % 2]},
        )
        for i, (clean, corrupted) in enumerate(drawn)
    ]


def figures(values, corrupted=None, labels=None):
    """Figures of one prediction a prompt, by their logit differences."""

    def behaviour(of):
        of = np.asarray(of, dtype=np.float64)
        right = (of > 0).astype(np.float64)
        return Behaviour.of({"accuracy": right, "top1": right, "logit_difference": of, "kl": 0 * of})

    prompts = [
        JudgedPrompt(f"pair {i}", "", "", {"answer": label}) for i, label in enumerate(labels or "x" * len(values))
    ]
    worse = values if corrupted is None else corrupted
    return TaskFigures(prompts, behaviour(values), behaviour(worse), np.arange(len(values)), ())


def test_figures_are_the_models_own(gpt2_model):
    given = pairs()
    found = check_task(gpt2_model, given, n=12, worst=2)
    (drawn,), (one,) = found.pairs.drawn, found.figures
    assert (drawn.which, one.n_prompts) == ("used", 12)
    for state in ("clean", "corrupted"):
        differences, first = [], []
        for pair in given:
            logits = gpt2_model.bridge(torch.tensor([getattr(pair, state)]))[0].double()
            for right, wrong, place in zip(pair.answers, pair.wrong_answers, (2, 4), strict=True):
                differences.append(float(logits[place, list(right)].max() - logits[place, list(wrong)].max()))
                first.append(int(logits[place].argmax()) in right)
        assert one.states[state].logit_difference == pytest.approx(np.mean(differences), abs=1e-4)
        assert one.states[state].accuracy == np.mean(np.array(differences) > 0)
        assert one.states[state].top1 == np.mean(first)
        means = np.array(differences).reshape(12, 2).mean(1)
        assert one.spread(state) == pytest.approx(means.std(ddof=1), abs=1e-4)
        if state == "clean":
            assert [worst.prompt for worst in one.worst] == np.argsort(means)[:2].tolist()
            assert -one.worst[0].value == pytest.approx(means.min(), abs=1e-4)
    assert {len(group.prompts) for group in one.groups("template").values()} == {6}
    assert found.notes[0].startswith("nothing is known of held-out prompts: prompt pairs: it has 12 prompt pairs")


def test_held_out_pairs_are_looked_at_too(gpt2_model):
    found = check_task(gpt2_model, pairs(), n=6)
    assert [drawn.which for drawn in found.pairs.drawn] == ["used", "held out"]
    assert found.notes == ()
    json = found.to_json()
    assert [one["which"] for one in json["prompts"]] == ["used", "held out"]
    assert json["prompts"][1]["figures"]["clean"]["logit_difference"]["mean"] == found.figures[1].clean.logit_difference
    assert len(json["prompts"][0]["values"]["clean"]["accuracy"]) == 12


def test_pairs_without_answers_have_what_can_be_told(gpt2_model):
    bare = [PromptPair(pair.clean, pair.corrupted) for pair in pairs()]
    (one,) = check_task(gpt2_model, bare).figures
    assert one.clean.accuracy is None
    assert one.clean.metrics["kl"] == 0 < one.corrupted.metrics["kl"]
    assert list(one.worst) == []
    right = [PromptPair(pair.clean, pair.corrupted, pair.answers[1:], where=pair.where) for pair in pairs()]
    (one,) = check_task(gpt2_model, right, worst=12).figures
    against = []
    for pair in right:
        logits = gpt2_model.bridge(torch.tensor([pair.clean]))[0, -1].double()
        (answer,) = pair.answers[0]
        against.append(float(torch.cat([logits[:answer], logits[answer + 1 :]]).max() - logits[answer]))
    assert [worst.value for worst in one.worst] == pytest.approx(sorted(against, reverse=True), abs=1e-4)


class Gender(Task):
    """Pronouns with a control corruption that leaves the answer or doesn't, and `kept` pairs that it keeps anyway."""

    name, metric = "gender", "logit-diff"
    corruptions = {"usual": "another gender", "control": "another noun"}  # noqa: RUF012
    control_corruptions = frozenset({"control"})

    def __init__(self, *, moves=False, kept=0):
        self.moves, self.kept = moves, kept

    def generate(self, tokenizer, n, seed, split, corruption):
        made = []
        for i, pair in enumerate(PRONOUNS.generate(tokenizer, n, seed, split, "opposite-gender").pairs):
            noun, other = ("friend", "person") if " friend," in pair.clean else ("person", "friend")
            stays = i < self.kept if corruption == "usual" else not self.moves
            changed = pair.clean.replace(f" {noun},", f" {other},") if stays else pair.corrupted
            made.append(replace(pair, corrupted=changed, spans={}, corrupted_spans={}, corrupted_answers=()))
        return Generated(made)


@pytest.fixture(scope="module")
def tiny_tasks():
    return acdc.load_model("tiny-tasks")


def test_a_control_corruption_must_leave_the_answer(tiny_tasks):
    says = (
        "the control corruption moves the answer, which it must leave (right on 0% in place of 100%, logit difference"
    )
    moved, stays = (check_task(tiny_tasks, Gender(moves=moves), n=20, worst=0) for moves in (True, False))
    assert [drawn.corruption for drawn in moved.pairs.drawn] == ["usual", "usual", "control", "control"]
    assert stays.doubts == ()
    assert len(moved.doubts) == 2
    assert moved.doubts[0].startswith(f"under control: gender: {says}")
    assert moved.doubts[1].startswith(f"under control: gender, held out: {says}")


def test_an_answer_that_the_corrupted_prompt_makes_as_likely(tiny_tasks):
    some = check_task(tiny_tasks, Gender(kept=12), n=20, corruption="usual", worst=0)
    says = (
        "prompt pairs the corrupted prompt makes the right answer as likely as the clean one (task pronouns, train pair"
    )
    assert any(says in line for line in some.doubts)
    few = check_task(tiny_tasks, Gender(kept=8), n=20, corruption="usual", worst=0)
    assert not any(says in line for line in few.doubts)


def test_an_unknown_corruption_or_a_negative_count_is_refused(gpt2_model):
    with pytest.raises(acdc.AcdcError, match="unknown corruption 'contrl': did you mean control"):
        check_task(gpt2_model, Gender(), corruption="contrl")
    with pytest.raises(acdc.AcdcError, match="`worst` must be at least 0"):
        check_task(gpt2_model, pairs(), worst=-1)


def test_groups_of_answers_the_worst_first():
    found = figures([3, 4, -1, 2], labels=["a", "a", "b", "b"])
    assert found.kinds == ["answer"]
    groups = found.groups("answer")
    assert list(groups) == ["b", "a"]
    assert groups["b"].clean.logit_difference == 0.5
    assert groups["b"].clean.accuracy == 0.5


def test_too_few_pairs_for_their_spread():
    sure = 5 + np.sin(np.arange(50))
    assert list(figures(sure).too_few()) == []
    (said,) = figures(5 + 6 * np.sin(np.arange(10))).too_few()
    assert said.startswith("10 pairs are few for so wide a spread: the logit difference is ")
    needed = int(said.split("about ")[1].split()[0])
    assert 10 < needed < 200
    many = 5 + 6 * np.sin(np.arange(4 * needed))
    assert list(figures(many).too_few()) == []
    (said,) = figures([1e-9, 1, -1, 2, -2]).too_few()
    assert "over 10,000 pairs would tell it" in said
    (said,) = figures([3.0]).too_few()
    assert said == "there is one pair, which tells nothing of how the logit difference spreads; take dozens."
