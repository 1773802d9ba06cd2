"""What callers may ask of `discover`, and what they are told where it makes no sense."""

import numpy as np
import pytest
from tiny import pairs, write_pairs

import acdc
from acdc import PromptPair, Task
from acdc.discovery.planning import refuse_too_many
from acdc.errors import AcdcError, MemoryLimitError, PromptError, SettingsError
from acdc.pairs import PromptSet
from acdc.pairs.finding import find_task
from acdc.pairs.task import Generated

GIVEN = [PromptPair((i, 1), (i, 2)) for i in range(8)]
pytestmark = pytest.mark.random_models


class Mine(Task):
    """A task as in a notebook."""

    name = "mine"
    summary = "pairs"
    metric = "kl"
    corruptions = {"other": "other tokens"}  # noqa: RUF012

    def generate(self, tokenizer, n, seed, split, corruption):
        """The first pairs, or the last."""
        return Generated(GIVEN[:n] if split == "train" else GIVEN[-n:])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("threshold", "0.01", "`threshold` must be a number, not '0.01'."),
        ("threshold", True, "`threshold` must be a number, not True."),
        ("threshold", None, "`threshold` must be a number, not None."),
        ("threshold", 1j, "`threshold` must be a number, not 1j."),
        ("threshold", 10**400, "`threshold` must be a number, not something of the type int."),
        ("threshold", np.array([0.1]), "`threshold` must be a number, not array([0.1])."),
        ("threshold", float("nan"), "the threshold must be a number of at least 0, got nan."),
        ("n", 5.0, "`n` must be a whole number, not 5.0."),
        ("n", "5", "`n` must be a whole number, not '5'."),
        ("n", True, "`n` must be a whole number, not True."),
        ("n", np.bool_(True), "`n` must be a whole number, not "),
        ("n", np.float64(5), "`n` must be a whole number, not "),
        pytest.param("n", 10**5000, "`n` is out of all bounds, something of the type int; give", id="n-huge"),
        ("n", 10**20, "`n` is out of all bounds, 100000000000000000000; give a number that can be meant."),
        ("seed", -(10**20), "`seed` is out of all bounds, -100000000000000000000; give"),
        ("n", 0, "n must be at least 1, got 0."),
        ("seed", "1", "`seed` must be a whole number, not '1'."),
        ("seed", None, "`seed` must be a whole number, not None."),
        ("seed", 1.5, "`seed` must be a whole number, not 1.5."),
        ("gates", "yes", "`gates` must be True or False, not 'yes'."),
        ("gates", 1, "`gates` must be True or False, not 1."),
        ("split_input", None, "`split_input` must be True or False, not None."),
        ("resume", "runs/ioi", "`resume` must be True or False, not 'runs/ioi'."),
        ("progress", 0, "`progress` must be True or False, not 0."),
        ("skip_bad_pairs", "no", "`skip_bad_pairs` must be True or False, not 'no'."),
        ("out", 5, "`out` must be a path, not 5."),
        ("out", "a\0b", "`out` can't be 'a\\x00b': no path is written so."),
        ("out", "a\ud83d", "`out` can't be 'a\\ud83d': no path is written so."),
        ("metric", 5, "`metric` must be a metric's name or a function, not 5."),
        ("metric", None, "`metric` must be a metric's name or a function, not None."),
        ("metric", dict, "`metric` must be a metric's name or a function, not <class 'dict'>."),
        ("order", 3, "`order` must be a name (text), not 3."),
        ("ablation", None, "`ablation` must be a name (text), not None."),
        ("engine", b"fast", "`engine` must be a name (text), not b'fast'."),
        ("device", 0, "the model is open already"),
        ("dtype", 5, "the model is open already"),
        ("corruption", 3, "`corruption` must be a name (text), not 3."),
        ("announce", "yes", "`announce` must be a function that takes a line, e.g. print."),
        ("answers", 3, "`answers` must be the name of a column, not 3."),
        ("batch_size", 2.0, "the batch size must be at least 1 prompt, or auto, not 2.0."),
        ("batch_size", None, "the batch size must be at least 1 prompt, or auto, not None."),
    ],
)
def test_arguments_that_make_no_sense(gpt2_model, name, value, said):
    with pytest.raises(SettingsError) as caught:
        acdc.discover(gpt2_model, GIVEN, **{"progress": False, name: value})
    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (None, "a list of acdc.PromptPair or an acdc.Task, not None."),
        (5, "or an acdc.Task, not 5."),
        ({"clean": "a"}, "or an acdc.Task, not {'clean': 'a'}."),
        (GIVEN[0], "or an acdc.Task, not something of the type PromptPair."),
        (iter(GIVEN), "or an acdc.Task, not something of the type list_iterator."),
        (PromptSet, "or an acdc.Task, not <class 'acdc.pairs.promptset.PromptSet'>."),
        ([], "the list of prompt pairs is empty; give at least one."),
        ([GIVEN[0], {"clean": "a"}], "pair 2 of the list is of the type dict; it must be an acdc.PromptPair."),
        (["ioi"], "pair 1 of the list is of the type str; it must be an acdc.PromptPair."),
        ("", "the task's name is empty; give a task's name or a prompt file."),
        (Task, "the task Task can't be made without arguments: TypeError: Can't instantiate abstract class Task"),
        (
            type("Bad", (Mine,), {"generate": lambda *_: Generated(GIVEN, {"names": 3})}),
            "making prompts failed: TypeError",
        ),
        (type("Bad", (Mine,), {"generate": lambda *_: Generated(1 / i for i in (0,))}), "ZeroDivisionError: division"),
        (type("Bare", (Mine,), {"name": None}), "the task Bare: its `name` must be text, not None."),
        (
            type("Bare", (Mine,), {"corruptions": {}}),
            "its `corruptions` must be a mapping of names to meanings, not {}.",
        ),
        (
            type("Bad", (Mine,), {"generate": lambda *_: GIVEN}),
            "task mine: `generate` must give acdc.pairs.task.Generated, not",
        ),
        (
            type("Bad", (Mine,), {"generate": lambda *_: Generated(["x"])}),
            "must give pairs of acdc.PromptPair, not 'x'.",
        ),
        (
            type("Bad", (Mine,), {"generate": lambda *_: 1 / 0}),
            "task mine: making prompts failed: ZeroDivisionError: div",
        ),
        (type("Bad", (Mine,), {"__init__": lambda self, x: None}), "the task Bad can't be made without arguments: "),
    ],
)
def test_tasks_that_are_none(gpt2_model, task, said):
    with pytest.raises(AcdcError) as caught:
        acdc.discover(gpt2_model, task, progress=False)
    assert said in str(caught.value)


def test_numpys_numbers_are_as_good_as_pythons(gpt2_model, tmp_path):
    ours, theirs = (
        acdc.discover(gpt2_model, GIVEN, progress=False, **options)
        for options in (
            {"threshold": 0.01, "n": 4, "seed": 1, "gates": True, "batch_size": 2},
            {
                "threshold": np.float64(0.01),
                "n": np.int64(4),
                "seed": np.int32(1),
                "gates": np.bool_(True),
                "batch_size": np.int64(2),
                "out": tmp_path / "run",
            },
        )
    )
    assert ours.record.request == theirs.record.request
    assert {type(value) for value in theirs.record.request.to_json().values()} == {str, float, int, bool, type(None)}
    assert list(ours.decisions) == list(theirs.decisions) == list(acdc.Run.load(tmp_path / "run").decisions)


def test_a_list_of_pairs_is_the_same_as_their_file(gpt2_model, tmp_path):
    rows = pairs(8)
    path = write_pairs(tmp_path / "pairs.jsonl", rows)
    given = [
        PromptPair(
            tuple(row["clean_tokens"]),
            tuple(row["corrupted_tokens"]),
            ((row["answer_token"],),),
            ((row["wrong_answer_token"],),),
        )
        for row in rows
    ]
    for task in (given, tuple(given)):
        runs = [acdc.discover(gpt2_model, each, n=4, seed=2, progress=False) for each in (path, task)]
        assert runs[0].record.hashes == runs[1].record.hashes
        assert list(runs[0].decisions) == list(runs[1].decisions)
        assert runs[0].record.results == runs[1].record.results
        assert runs[1].record.request.task == "prompt pairs"


def test_a_pair_of_a_list_is_named_by_its_place():
    bad = [PromptPair((1,), (2,)), PromptPair((1, 2), (1,)), PromptPair((1, 2), (1,), where="mine")]
    with pytest.raises(PromptError, match=r"^pair 2 of the list: "):
        find_task(bad).prompts(None)
    with pytest.raises(PromptError, match=r"^mine: "):
        find_task([bad[0], bad[2]]).prompts(None)


def test_a_task_and_its_class_are_the_same(gpt2_model):
    first, second = (acdc.discover(gpt2_model, task, n=3, progress=False) for task in (Mine, Mine()))
    assert list(first.decisions) == list(second.decisions)
    assert first.record.results.held_out.n_prompts == 3


def test_a_task_may_give_an_iterator(gpt2_model):
    class Lazy(Mine):
        def generate(self, tokenizer, n, seed, split, corruption):
            made = super().generate(tokenizer, n, seed, split, corruption)
            return Generated(pair for pair in made.pairs)

    assert acdc.discover(gpt2_model, Lazy, n=3, progress=False).record.request.n == 3


def test_a_task_needs_no_more_than_a_name_and_corruptions(gpt2_model):
    class Short(Task):
        name = "short"
        corruptions = {"other": "other tokens"}  # noqa: RUF012
        generate = Mine.generate

    assert acdc.discover(gpt2_model, Short, n=3, progress=False).record.usual_metric == "kl"


def test_a_run_serves_where_a_circuit_is_wanted(gpt2_model, tmp_path):
    run = acdc.discover(gpt2_model, GIVEN, progress=False)
    written = [acdc.export_circuit(each, "dot", tmp_path / name) for name, each in (("a", run), ("b", run.circuit))]
    assert written[0].read_text() == written[1].read_text()
    with pytest.raises(SettingsError, match=r"a circuit or a run is wanted, not 'runs/ioi'\."):
        acdc.export_circuit("runs/ioi", "dot", tmp_path / "c")


def test_more_prompts_than_memory_serves_are_refused_before_they_are_made(gpt2_model):
    made = []

    class Endless(Mine):
        def generate(self, tokenizer, n, seed, split, corruption):
            made.append(n)
            return Generated([PromptPair((i % 40, 1), (i % 40, 2)) for i in range(n)])

    with pytest.raises(MemoryLimitError, match=r"a run on 1000000000 prompt pairs needs about .* lower `n`\."):
        acdc.discover(gpt2_model, Endless, n=10**9, skip_bad_pairs=True, progress=False)
    assert max(made) < 100
    refuse_too_many(gpt2_model, find_task(GIVEN).prompts(None), 1000)


def test_many_pairs_are_not_judged_by_the_few_that_are_tried_first(gpt2_model):
    """Of 1,001 pairs all but one are uncorrupted, so that a sample of them couldn't be used by itself."""
    many = [PromptPair((i % 40, i // 40), (i % 40, i // 40)) for i in range(1000)] + [PromptPair((39, 1), (39, 2))]
    with pytest.warns(acdc.AcdcWarning, match="in 1000 of 1001 prompt pairs clean and corrupted are equal"):
        run = acdc.discover(gpt2_model, many, progress=False, threshold=1.0)
    assert run.record.request.n == 1001
