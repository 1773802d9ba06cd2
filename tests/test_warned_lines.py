"""A warning points at the caller's line: there it is filtered, made an error, or found."""

import inspect
import warnings

import pytest
from tiny import pairs, save_gpt2, write_pairs

import acdc
from acdc.errors import AcdcWarning


def warned(call):
    """The file and line of each warning of ours that a call gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [(each.filename, each.lineno) for each in caught if issubclass(each.category, AcdcWarning)]


def test_warnings_of_a_run_point_at_the_line_that_asked_for_it(gpt2_model, tmp_path):
    task = write_pairs(tmp_path / "pairs.jsonl", pairs(4))

    def run():
        acdc.discover(gpt2_model, task, n=2, threshold=1e6, progress=False)

    places = warned(run)
    line = inspect.getsourcelines(run)[1] + 1
    assert len(places) >= 2  # by the introduction, and by the method
    assert set(places) == {(__file__, line)}


def test_so_do_those_of_what_can_be_called_alone(gpt2_model, tmp_path):
    rows = pairs(4)
    del rows[0]["answer_token"], rows[0]["wrong_answer_token"]
    task = write_pairs(tmp_path / "pairs.jsonl", rows)
    calls = [
        lambda: acdc.find_task(task).prompts(gpt2_model.tokenizer),
        lambda: acdc.discover(gpt2_model, task, metric="kl", n=3, threshold=0.5, progress=False),
    ]
    for call in calls:
        places = warned(call)
        assert places
        assert set(places) == {(__file__, inspect.getsourcelines(call)[1])}


def test_a_filter_by_the_caller_s_module_makes_them_errors(tmp_path):
    model = save_gpt2(tmp_path / "model")
    task = write_pairs(tmp_path / "pairs.jsonl", pairs(4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", category=AcdcWarning, module=__name__)
        with pytest.raises(AcdcWarning):
            acdc.discover(model, task, n=2, threshold=1e6, progress=False)
