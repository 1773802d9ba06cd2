"""Task classes in plain files whose attributes are of the wrong kind, or fail: one sentence that names them."""

import pytest

from acdc.errors import AcdcError
from acdc.pairs.finding import find_task

CLASS = """from acdc.pairs import PromptPair
from acdc.pairs.task import Generated, Task

class T(Task):
    name = "t"
    corruptions = {"other": "another token"}
    BODY
    def generate(self, tokenizer, n, seed, split, corruption):
        return Generated([PromptPair((i, 1), (i, 2)) for i in range(n)])
"""


@pytest.fixture
def task_of(tmp_path):
    def task_of(body):
        path = tmp_path / "mytask.py"
        path.write_text(CLASS.replace("BODY", body))
        return find_task(f"{path}:T")

    return task_of


def test_a_task_that_says_all(task_of):
    task = task_of(
        "control_corruptions = {'other'}; source = 'me'; spans = ['a']; kind = 'algorithmic'; notes = ('b',)"
    )
    assert len(task.prompts(None, 3)) == 3


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("control_corruptions = 5", "its `control_corruptions` must be names of corruptions, .*, not 5"),
        ("control_corruptions = {'othr'}", "`control_corruptions`: unknown corruption 'othr': did you mean other"),
        ("spans = 'subject'", "its `spans` must be names of spans, .*, not 'subject'"),
        ("spans = property(lambda self: 1 / 0)", "lacks `spans`: ZeroDivisionError"),
        ("source = 3", "its `source` must be text, not 3"),
        ("source = property(lambda self: 1 / 0)", "lacks `source`: ZeroDivisionError"),
        ("kind = 'other'", "its `kind` must be 'language' or 'algorithmic', not 'other'"),
        ("kind = []", "its `kind` must be"),
        ("notes = 'read me'", "its `notes` must be a list of sentences"),
        ("corruptions = {1: 'x'}", "its `corruptions` must be a mapping of names to meanings"),
        ("corruptions = {'other': None}", "its `corruptions` must be"),
        ("corruptions = {}", "its `corruptions` must be"),
        ("metric = ''", "its `metric` must be a metric's name"),
    ],
)
def test_what_a_task_says_of_itself_is_checked(task_of, body, message):
    with pytest.raises(AcdcError, match=rf"mytask\.py.*{message}"):
        task_of(body)


def test_a_number_of_pairs_that_is_none(task_of):
    with pytest.raises(AcdcError, match="`default_n` must be a whole number, not 'many'"):
        task_of("default_n = 'many'").prompts(None)
