"""Tasks that other packages register: they load, or are said not to; none takes another's place in silence."""

import pytest

from acdc.errors import AcdcError, AcdcWarning
from acdc.pairs.finding import find_task, task_names

TASK = """
from acdc.pairs.task import Generated, Task
from acdc.pairs import PromptPair

class Good(Task):
    name = "good"
    summary = "pairs"
    metric = "kl"
    corruptions = {"other": "other tokens"}
    def generate(self, tokenizer, n, seed, split, corruption):
        return Generated([PromptPair((i, 1), (i, 2)) for i in range(n)])

class Nameless(Good):
    name = None

class Raising(Good):
    @property
    def summary(self):
        raise KeyError("summary")

def ready():
    return {"name": "ready"}
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package with entry points on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(package, source, **points):
        (tmp_path / f"{package}.py").write_text(source)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[acdc.tasks]", *lines]) + "\n")

    return install


def test_another_packages_task(install):
    install("third_party_good", TASK, good="third_party_good:Good")
    assert "good" in task_names()
    assert len(find_task("good").prompts(None, 5)) == 5


@pytest.mark.parametrize(
    ("source", "kind", "said"),
    [
        ("import nothing_like_it", "Good", "doesn't load: ModuleNotFoundError: No module named 'nothing_like_it'."),
        ("def f(:", "Good", "doesn't load: SyntaxError: "),
        ("raise SystemExit(3)", "Good", "doesn't load: SystemExit: 3."),
        ("1 / 0", "Good", "doesn't load: ZeroDivisionError: division by zero."),
        ("", "Good", "doesn't load: AttributeError: "),
        (TASK, "ready", "is not an acdc.Task, but of the type dict."),
        (TASK, "Nameless", "its `name` must be text, not None."),
        (TASK, "Raising", "lacks `summary`: KeyError: 'summary'."),
        (TASK + "Good.__init__ = lambda self, path: None", "Good", "can't be made without arguments: TypeError: "),
    ],
)
def test_a_broken_one_is_said(install, request, source, kind, said):
    package = f"third_party_{request.node.callspec.indices['source']}"
    install(package, source, broken=f"{package}:{kind}")
    assert {"broken", "ioi"} <= set(task_names())
    with pytest.raises(AcdcError) as caught:
        find_task("broken")
    assert str(caught.value).startswith(f"task 'broken' ({package}:{kind})")
    assert said in str(caught.value)
    assert find_task("ioi").name == "ioi"


def test_acdcs_own_task_wins_over_another_of_its_name(install):
    install("third_party_hides", TASK, ioi="third_party_hides:Good")
    with pytest.warns(AcdcWarning, match=r"registers a task 'ioi' too \(third_party_hides:Good\); acdc's own is used"):
        assert find_task("ioi").name == "ioi"
    assert task_names().count("ioi") == 1


def test_two_other_packages_with_one_name(install):
    install("third_party_one", TASK, both="third_party_one:Good")
    install("third_party_two", TASK, both="third_party_two:Good")
    with pytest.raises(AcdcError, match=r"several packages register a task 'both' .* uninstall all but one"):
        find_task("both")
    assert task_names().count("both") == 1


def test_a_file_without_ending_does_not_hide_a_task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ioi").write_text("")
    (tmp_path / "other").write_text("")
    assert find_task("ioi").name == "ioi"
    with pytest.raises(
        AcdcError, match=r"other: a task file ends in \.jsonl, \.json, \.csv, \.tsv, \.toml or \.py:CLASS\."
    ):
        find_task("other")


def test_the_command_lists_the_others(install, capsys, monkeypatch):
    from acdc.cli.main import main

    install("third_party_listed", TASK, good="third_party_listed:Good", broken="third_party_listed:Nothing")
    install("third_party_hiding", TASK, pronouns="third_party_hiding:Good")
    monkeypatch.setattr("sys.argv", ["acdc", "tasks"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert ended.value.code == 0
    assert all(name in out for name in ("ioi", "acronyms", "pronouns", "good"))
    assert "acdc: warning: task 'broken' (third_party_listed:Nothing) doesn't load: AttributeError: " in err
    assert "another package registers a task 'pronouns' too (third_party_hiding:Good); acdc's own is used." in err
