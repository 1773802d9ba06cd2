"""Text of files and names stays text on every terminal, whatever it holds."""

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import pairs, save_gpt2, write_pairs

import acdc.cli
from acdc.pairs.task import Generated, Task
from acdc.wording import one_line

#: Markup, a link and an emoji of rich; a title, a colour and a link of a terminal; other directions, no width, blanks.
HOSTILE = (
    "[bold red]x[/] [link=file:evil]y[/link] :bomb: \x1b]0;owned\x07\x1b[31m\x1b]8;;evil\x1b\\z \x9b2J\r\n"
    "\u202e\u2066\u200b\u00ad\ufeff\u3164\U000e0041 \x7f`n` `threshold=1`"
)
#: As a file's name.
NAME = HOSTILE.replace("/", "|")


def assert_plain(text):
    """Nothing that a terminal would obey or hide; a bar may go back to the beginning of its line."""
    for line in text.replace("\r", "\n").split("\n"):
        assert one_line(line) == line


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory):
    """A run whose task, model and folder have hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / NAME).mkdir()
    model = save_gpt2(folder / NAME / f"m{NAME}"[:60], with_tokenizer=True)
    return model, write_pairs(folder / NAME / f"{NAME}.jsonl", pairs(8)), folder / NAME / "run"


def test_discover_and_all_that_shows_its_run_print_names_as_text(call, hostile_run):
    model, task, run = hostile_run
    code, out, err = call("discover", task, "--model", model, "--threshold", 0.01, "--n", 4, "--out", run)
    assert code == 0, err
    assert "[bold red]x[" in err
    assert "[bold red]x[" in out
    assert "\\x1b]0;owned\\x07" in out.replace("\n", "")
    assert "\\u202e" in out.replace("\n", "")
    for text in (out, err):
        assert_plain(text)
    for command in (("show", run), ("show", run, "--json"), ("show", run, "--csv"), ("show", run / "circuit.json")):
        code, out, err = call(*command)
        assert (code, err) == (0, "")
        assert_plain(out)
    for command in (("task", "check", task), ("model", "check", model), ("export", run, "--format", "dot")):
        code, out, err = call(*command)
        assert code == 0, err
        assert "[bold red]x[" in out
        assert_plain(out)
        assert_plain(err)
    code, out, err = call("discover", task, "--model", model, "--out", run)
    assert (code, out) == (2, "")
    assert_plain(err)


def test_no_markup_of_our_own_is_left_on_the_screen(call, finished):
    _, out, _ = call("show", finished)
    assert "[/" not in out
    assert "[bold" not in out


class Hostile(Task):
    """A task of somebody's package."""

    name = HOSTILE
    summary = HOSTILE
    metric = HOSTILE
    corruptions = {HOSTILE: HOSTILE}  # noqa: RUF012

    def generate(self, tokenizer, n, seed, split, corruption):
        return Generated([], {HOSTILE: [HOSTILE]})


def test_a_package_s_task_is_listed_as_text(call, monkeypatch):
    monkeypatch.setattr("acdc.pairs.finding.task_names", lambda: [HOSTILE])
    monkeypatch.setattr("acdc.pairs.finding.find_task", lambda name, **more: Hostile())
    monkeypatch.setattr("acdc.cli.tasks._WIDTH", 400)  # what doesn't fit is cut
    code, out, _ = call("tasks")
    assert code == 0
    assert "[bold" in out
    assert ":bomb:" in out
    assert_plain(out)


class Screen(io.StringIO):
    """A terminal with colours."""

    encoding = "utf-8"

    def isatty(self):
        return True


def test_on_a_terminal_the_only_sequences_are_those_of_the_table(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    from rich.table import Table
    from rich.text import Text

    from acdc.cli.terminal import Terminal

    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    table = Table(title=HOSTILE, caption=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    table.add_row(Text(HOSTILE, "bold"))
    Terminal().print(table)
    Terminal().print(Text.assemble((HOSTILE, "bold"), HOSTILE))
    Terminal().print(HOSTILE)
    written = screen.getvalue()
    assert "\x1b[1m" in written
    for start in ("\x1b]", "\x1b[31m", "\x1b\\", "\x07", "\x9b", "\u202e", "\u200b", "\x7f", "\u3164"):
        assert start not in written


def test_the_bar_shows_a_metric_s_name_as_text(capsys):
    from acdc.discovery.progress import RunLog
    from acdc.runs.record import Record
    from acdc.runs.request import Request

    with RunLog(Record("running", Request(), {}, {}, "now", 0.0), None, progress=True) as log:
        log.begin(1, "edge")
        log.at(1, "kl\x1b[31m\u202e 0.5")
    err = capsys.readouterr().err
    assert "kl\\x1b[31m\\u202e" in err
    assert_plain(err)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_output_in_every_encoding(finished, tmp_path, encoding):
    odd = write_pairs(tmp_path / "t\u2192\u6f22\u202e.jsonl", pairs(2))
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for command in (("show", finished), ("tasks",), ("task", "check", odd.name), ("show", "\udcff\u2192")):
        done = subprocess.run(
            [sys.executable, "-m", "acdc", *command], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert b"Traceback" not in done.stderr
        assert done.returncode == (2 if "\udcff\u2192" in command else 0), done.stderr
        text = (done.stdout + done.stderr).decode(encoding)
        assert_plain(text)
        if command == ("show", finished):
            assert ("+--" in text) == (encoding != "utf-8")
        if odd.name in command:
            assert text.startswith("t\u2192\u6f22\\u202e" if encoding == "utf-8" else "t\\u2192\\u6f22\\u202e")


def test_every_command_prints_by_the_functions_that_make_text_plain():
    for path in Path(acdc.cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.func if isinstance(node, ast.Call) else None
            said = ast.unparse(name) if name is not None else ""
            assert said not in ("print", "click.echo", "echo", "click.secho", "secho", "Console"), f"{path}: {said}"
