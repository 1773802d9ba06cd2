"""The command's errors and warnings: one line each, in the command's own words, never a traceback."""

import re
import warnings
from pathlib import Path

import click
import pytest
from tiny import pairs

import acdc
from acdc.cli.main import main
from acdc.cli.printing import in_options
from acdc.errors import AcdcError, AcdcWarning, SettingsError


@pytest.fixture
def fails(call, monkeypatch):
    """Run ``acdc models`` where it raises an error; gives exit code and standard error."""

    def fails(error):
        def broken():
            raise error

        monkeypatch.setattr("acdc.knownmodels.catalogue.known_models", broken)
        code, out, err = call("models")
        assert out == ""
        return code, err

    return fails


@pytest.mark.parametrize(
    "error",
    [TypeError("no\nway\x1b[31m"), RecursionError("deep"), KeyError("x"), AssertionError(), ZeroDivisionError()],
)
def test_what_nobody_foresaw_is_one_line_and_exit_code_1(fails, error):
    code, err = fails(error)
    assert code == 1
    assert err.startswith(f"acdc: internal error ({type(error).__name__}")
    assert err.endswith("); please report it; ACDC_TRACEBACK=1 shows where.\n")
    assert err.count("\n") == 1
    assert "\x1b" not in err


def test_its_traceback_is_shown_where_it_is_asked_for(fails, monkeypatch):
    monkeypatch.setenv("ACDC_TRACEBACK", "1")
    code, err = fails(TypeError("no\x1b[31m"))
    assert code == 1
    assert "in broken" in err
    assert "\x1b" not in err
    assert err.splitlines()[-1].startswith("acdc: internal error (TypeError: no\\x1b[31m)")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AcdcError("x" * 10**7), 2),
        (OSError("x" * 10**7), 2),
        (ValueError("x" * 10**7), 1),
        (click.UsageError("x" * 10**7), 2),
        (MemoryError(), 2),
    ],
)
def test_every_error_is_bounded(fails, error, code):
    found, err = fails(error)
    assert found == code
    assert err.count("\n") == 1
    assert len(err) < 2300


@pytest.mark.filterwarnings("default:y:UserWarning")  # another library's
def test_every_warning_is_bounded_and_one_line(call, monkeypatch):
    def warned():
        warnings.warn("x\n" * 10**6, AcdcWarning, stacklevel=1)
        warnings.warn("y\x1b[31m" * 10**6, UserWarning, stacklevel=1)
        return {}

    monkeypatch.setattr("acdc.knownmodels.catalogue.known_models", warned)
    code, _, err = call("models")
    assert code == 0
    assert len(err) < 10_000
    assert "\x1b" not in err
    assert "acdc: warning: x\\nx\\nx" in err
    assert "UserWarning: y\\x1b[31m" in err


@pytest.mark.parametrize("action", ["ignore", "error", "once"])
def test_our_warnings_are_shown_whatever_becomes_of_others(call, monkeypatch, action):
    def warned():
        for _ in range(2):
            warnings.warn("doubt it.", AcdcWarning, stacklevel=1)
        return {}

    monkeypatch.setattr("acdc.knownmodels.catalogue.known_models", warned)
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        code, _, err = call("models")
    assert (code, err) == (0, "acdc: warning: doubt it.\n" * 2)


def test_a_long_line_in_a_prompt_file_is_not_repeated(discover, file):
    for line in ("x" * 10**7, '{"clean": "' + "x" * 10**7, '{"' + "x" * 10**7 + '": 1}'):
        assert len(discover(file(line))) < 2200


@pytest.mark.parametrize("word", ["a\0b", "a\ud800b"])
@pytest.mark.parametrize("command", ["show WORD", "export WORD --format svg", "task check WORD", "model check WORD"])
def test_a_word_that_no_name_can_be_is_refused(refused, word, command):
    said = refused(*(word if part == "WORD" else part for part in command.split()))
    assert said.endswith("holds a character that no name can have; leave it out.")
    assert "'a" in said


def test_a_name_that_is_no_utf_8_is_a_name(refused):
    assert "\\udcff" in refused("show", "\udcff")


@pytest.mark.parametrize("option", ["--n", "--seed", "--batch-size", "--threshold"])
def test_a_number_of_thousands_of_digits_is_refused(discover, file, option):
    assert len(discover(file(*pairs()), option, "9" * 5000)) < 2200


@click.command()
@click.option("--n", type=int)
@click.option("--batch-size")
@click.option("-d", "--dtype")
@click.option("--tokenizer", "tokenizer_name")
@click.option("--allow-misaligned", is_flag=True)
@click.option("--answers")
def command(**_options):
    """A command with options."""


@pytest.mark.parametrize(
    ("library", "line"),
    [
        ("lower `batch_size` or `n`.", "lower --batch-size or --n."),
        ('try `dtype="float32"`.', "try --dtype float32."),
        ("try `dtype='float32'`.", "try --dtype float32."),
        ("give `allow_misaligned=True`.", "give --allow-misaligned."),
        ("leave out `allow_misaligned`.", "leave out --allow-misaligned."),
        ("not `allow_misaligned=False`.", "not `allow_misaligned=False`."),
        ('give `answers="my column"`.', "give --answers 'my column'."),
        ("give `n=5`.", "give --n 5."),
        ("give `tokenizer`.", "give --tokenizer."),
        ("give `threads=2` or `out`.", "give `threads=2` or `out`."),  # options of others
        ("run `pip install pygraphviz`.", "run `pip install pygraphviz`."),
        ("unknown metric '`n`'.", "unknown metric '`n`'."),
    ],
)
def test_python_s_words_become_the_command_s_options(library, line):
    assert in_options(library, command) == line


def test_a_message_with_options_is_translated_wherever_it_is_said(discover, call, file, monkeypatch, capsys):
    task = file(*pairs())

    def hold_forth(*_args, announce, **_more):
        announce("lower `batch_size`")
        warnings.warn('try `dtype="float64"`.', AcdcWarning, stacklevel=1)
        raise SettingsError("give `resume=True`, or another `out`, not `nothing=5`.")

    monkeypatch.setattr("acdc.discovery.discover.discover", hold_forth)
    code, _, err = call("discover", task, "--model", "tiny-tasks")
    assert (code, err.splitlines()) == (
        2,
        [
            "lower --batch-size",
            "acdc: warning: try --dtype float64.",
            "acdc: give --resume, or another --out, not `nothing=5`.",
        ],
    )


def test_a_script_of_its_own_has_its_own_options(monkeypatch, capsys):
    @click.command()
    @click.option("--n")
    def script(n):
        raise SettingsError("lower `n` or `batch_size`.")

    monkeypatch.setattr("sys.argv", ["script"])
    with pytest.raises(SystemExit):
        main(script, "script")
    assert capsys.readouterr().err == "script: lower --n or `batch_size`.\n"


def test_no_message_of_the_library_speaks_of_the_command_line():
    for path in Path(acdc.__file__).parent.rglob("*.py"):
        if path.parent.name != "cli":
            for number, line in enumerate(path.read_text().splitlines(), 1):
                assert " --" not in line or re.search("acdc (discover|edit|evaluate)|ray start", line), (
                    f"{path}:{number}: {line}"
                )  # but for whole commands
