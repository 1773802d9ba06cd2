"""Runs on a template or a Python file of the user's own: recorded, redrawn from elsewhere, and not after a change."""

import pytest
from test_plain_files import GOOD

import acdc
from acdc.errors import AcdcError, SettingsError
from acdc.pairs.finding import find_task, task_names
from acdc.pairs.template import TemplateTask
from acdc.pairs.template.starting import start_template

pytestmark = pytest.mark.random_models


def test_a_templates_run_knows_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start_template("mine")
    ask = {"threshold": 0.01, "n": 3, "out": "run"}
    run = acdc.discover("tiny-tasks", "mine.toml", **ask)
    assert run.record.request.task == "mine.toml"
    assert len(run.record.task_sha256) == 64
    again = acdc.discover("tiny-tasks", "mine.toml", **ask, resume=True)
    assert again.record.started == run.record.started
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert acdc.evaluate("../run")
    text = (tmp_path / "mine.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace("garden school", "school garden"))
    with pytest.raises(SettingsError, match=r"the prompts of 'mine\.toml' aren't those that"):
        acdc.evaluate("../run")


def test_a_python_files_task_is_drawn_again_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(GOOD)
    run = acdc.discover("tiny-tasks", "mine.py:Counting", threshold=0.0, n=2, out="run")
    assert run.record.request.task == "mine.py:Counting"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert acdc.evaluate("../run")
    (tmp_path / "mine.py").unlink()
    with pytest.raises(SettingsError, match=r"mine\.py:Counting, which is gone; put the file back"):
        acdc.evaluate("../run")


def test_a_new_template_is_written_once_and_can_be_a_copy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert start_template("mine").name == "mine.toml"
    with pytest.raises(SettingsError, match=r"mine\.toml is there already"):
        start_template("mine.toml")
    with pytest.raises(SettingsError, match="acronyms is no template file"):
        start_template("other", find_task("acronyms"))
    tokenizer = acdc.load_model("tiny-tasks").tokenizer
    for name in task_names():
        original = find_task(name)
        if not isinstance(original, TemplateTask):
            continue
        copied = find_task(start_template(f"my-{name}", original))
        for made in (original, copied):
            assert made.corruptions == original.corruptions
        assert copied.texts == original.texts
        if name in ("ioi", "pronouns"):
            assert len(copied.prompts(tokenizer, 3)) == 3
    with pytest.raises(AcdcError, match=r"no-folder/a\.toml can't be written"):
        start_template("no-folder/a")
