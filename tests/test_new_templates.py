"""Files of ``acdc task new`` are found by the name that it says, whatever that is; what is no name is refused."""

import shlex

import pytest

from acdc.errors import SettingsError
from acdc.pairs.finding import find_task
from acdc.pairs.template.starting import start_template


@pytest.mark.parametrize("name", ["", " ", ".toml", "folder/", "a\nb", "a\x1b[31mb", "a\0b"])
@pytest.mark.parametrize("copied", [None, "plural"])
def test_what_is_no_name_is_refused(tmp_path, monkeypatch, name, copied):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(SettingsError, match="is no name for a template file"):
        start_template(name, None if copied is None else find_task(copied))
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


@pytest.mark.parametrize("name", ["two words", "x.py", "it's", "$HOME", "a.TOML", "-x"])
@pytest.mark.parametrize("copied", [None, "plural"])
def test_a_file_of_an_odd_name_runs_and_says_how(tmp_path, monkeypatch, name, copied):
    monkeypatch.chdir(tmp_path)
    path = start_template(name, None if copied is None else find_task(copied))
    assert find_task(str(path)).name == str(path)
    assert f"acdc task check {shlex.quote(str(path))}" in path.read_text()
