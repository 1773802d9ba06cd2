"""Help texts name what the registries hold."""

import pytest

from acdc.engine.ablations import ABLATIONS
from acdc.export import FORMATS
from acdc.metrics import METRICS
from acdc.pruning.orders import ORDERS
from acdc.wording import either


@pytest.mark.parametrize(
    ("command", "names"), [*(("discover", names) for names in (METRICS, ABLATIONS, ORDERS)), ("export", FORMATS)]
)
def test_an_option_names_all_that_there_is(call, command, names):
    code, out, _ = call(command, "--help")
    assert code == 0
    assert either(names) in " ".join(out.split())


def test_names_are_said_as_in_a_sentence():
    assert [either("a"), either("ab"), either("abc")] == ["a", "a or b", "a, b or c"]


@pytest.mark.parametrize("command", ["show", "export", "edit", "compare", "evaluate"])
def test_a_circuit_has_one_name_in_every_command(call, command):
    usage = call(command, "--help")[1].splitlines()[0]
    assert usage.endswith(("CIRCUIT", "CIRCUIT..."))


@pytest.mark.parametrize("group", [[], ["task"], ["model"], ["sweep"]])
def test_no_command_s_summary_is_cut_at_80_columns(call, monkeypatch, group):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = call(*group, "--help")
    assert code == 0
    lines = out.partition("Commands:\n")[2].splitlines()
    assert lines
    assert [line for line in lines if line.endswith("...")] == []


def test_a_folder_s_default_name_is_told_of_every_method(call):
    out = " ".join(call("discover", "--help")[1].split())
    assert "[default: in runs, named by task, model, and threshold or method]" in out
