"""Axes crossed to cells: which there are, what they are called, and what is refused before any work."""

import inspect
import json
import subprocess
import sys
import time

import pytest

from acdc.discovery.discover import discover
from acdc.errors import AcdcError
from acdc.knownmodels.checking import short_names
from acdc.methods import EapIg
from acdc.sweeps.axes import AXES
from acdc.sweeps.grid import Grid

BASE = {"task": "ioi", "model": "tiny-tasks"}


def cells(axes, *names):
    """The values that cells have of some axes."""
    return [tuple(cell.settings.get(name) for name in names) for cell in Grid.of({**BASE, **axes}).cells]


def test_the_first_axis_changes_slowest():
    assert cells({"seed": "0:2", "threshold": [0.1, 1]}, "seed", "threshold") == [(0, 0.1), (0, 1), (1, 0.1), (1, 1)]
    by_seed = [(0, "acdc"), (0, "hybrid"), (1, "acdc"), (1, "hybrid")]
    assert cells({"seed": "0:2", "method": "acdc,hybrid"}, "seed", "method") == by_seed
    assert (
        Grid.of({"seed": "0:2", "task": "ioi,pronouns", "model": "tiny-tasks"}).cells[1].settings["task"] == "pronouns"
    )
    found = cells({"steps": [5, 10], "top": 50, "method": "eap,eap-ig", "n": [7, 8]}, "steps", "method", "n")
    eap, other = [(None, "eap", 7), (None, "eap", 8)], [(5, "eap-ig", 7), (5, "eap-ig", 8)]
    assert found == [*eap, *other, (10, "eap-ig", 7), (10, "eap-ig", 8)]


def test_an_option_is_crossed_for_the_methods_that_have_it():
    found = cells({"method": "eap,eap-ig", "steps": "5,10", "top": 50}, "method", "steps", "top")
    assert found == [("eap", None, 50), ("eap-ig", 5, 50), ("eap-ig", 10, 50)]
    notes = Grid.of({**BASE, "method": "eap,eap-ig", "steps": "5,10", "top": 50}).notes
    assert notes == ("`steps` is no option of eap, and isn't crossed with it.",)


def test_a_threshold_is_the_selection_of_methods_that_score():
    found = cells({"method": "acdc,eap", "threshold": "0.01,0.1"}, "method", "threshold", "above")
    assert found == [("acdc", 0.01, None), ("acdc", 0.1, None), ("eap", None, 0.01), ("eap", None, 0.1)]
    own = {"name": "eap", "threshold": 0.5}
    assert cells({"method": ["acdc", own], "threshold": 0.1}, "threshold", "above") == [(0.1, None), (None, 0.5)]
    assert cells({"method": ["hisp", own], "top": 7}, "above", "top") == [(None, 7), (0.5, None)]
    found = cells({"method": "acdc,eap", "threshold": "0.01,0.1", "top": 9}, "method", "threshold", "above", "top")
    assert found == [("acdc", 0.01, None, None), ("acdc", 0.1, None, None), ("eap", None, None, 9)]


def test_selections_are_alternatives():
    found = cells({"method": "eap", "top": "5,6", "greedy": 7, "by": "value"}, "top", "greedy", "by")
    assert found == [(5, None, "value"), (6, None, "value"), (None, 7, "value")]


def test_a_method_has_axes_of_its_own():
    methods = ["acdc", {"name": "eap-ig", "steps": [5, 10], "top": "50,60", "n": 9}, {"name": "eap"}]
    found = cells({"method": methods, "threshold": 0.1, "n": 7}, "method", "steps", "top", "threshold", "above", "n")
    assert found == [
        ("acdc", None, None, 0.1, None, 7),
        *(("eap-ig", steps, top, None, None, 9) for steps in (5, 10) for top in (50, 60)),
        ("eap", None, None, None, 0.1, 7),
    ]


def test_corruptions_are_crossed_for_the_tasks_that_have_them():
    axes = {"task": "ioi,pronouns,induction", "corruption": "abc,swapped-names,same-gender"}
    found = cells(axes, "task", "corruption")
    two = [("ioi", "abc"), ("ioi", "swapped-names")]
    assert found == [*two, ("pronouns", "same-gender"), ("induction", None)]
    notes = Grid.of({**BASE, **axes}).notes
    assert notes[-1] == "the task induction has none of these corruptions, and is run with its own first, no-repeat."
    assert "the corruption abc isn't one of the task pronouns, and isn't crossed with it." in notes


def test_columns_are_crossed_for_prompt_files(tmp_path):
    (tmp_path / "p.csv").touch()
    found = cells({"task": ["ioi", str(tmp_path / "p.csv")], "answers": "x,y"}, "task", "answers")
    assert found == [("ioi", None), (str(tmp_path / "p.csv"), "x"), (str(tmp_path / "p.csv"), "y")]


def test_what_is_given_twice_counts_once_and_is_said():
    grid = Grid.of(
        {**BASE, "seed": "0,1,0", "method": ["acdc", "acdc", {"name": "eap", "top": 5}, {"name": "eap", "top": [5, 6]}]}
    )
    assert len(grid.cells) == 2 + 2 * 2
    assert grid.notes[0] == "the axis `seed` has 0 more than once; each counts once."
    assert grid.notes[-1] == "2 of the cells are the same as others; each runs once."


def test_names_say_the_settings_whatever_the_order_of_the_axes():
    axes = {**BASE, "seed": [1], "threshold": [0.01, 10.0], "split_input": [True, False]}
    names = {cell.name for cell in Grid.of(axes).cells}
    assert "ioi-tiny-tasks-acdc-seed1-split-input-threshold0.01" in names
    assert "ioi-tiny-tasks-acdc-seed1-no-split-input-threshold10" in names
    assert {cell.name for cell in Grid.of(dict(reversed(axes.items()))).cells} == names


def test_names_that_would_clash_end_in_a_digest(tmp_path):
    files = [tmp_path / folder / name for folder, name in (("a", "p.jsonl"), ("b", "p.jsonl"), ("b", "P.jsonl"))]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    grid = Grid.of({**BASE, "task": [str(file) for file in files]})
    again = Grid.of({**BASE, "task": [str(file) for file in reversed(files)]})
    assert len({cell.name.lower() for cell in grid.cells}) == 3
    assert {cell.name for cell in grid.cells} == {cell.name for cell in again.cells}
    assert all(cell.name.lower().startswith("p-tiny-tasks-acdc-") for cell in grid.cells)


def test_long_names_stay_short_and_different():
    axes = {**BASE, "method": "gim", "top": [1, 2], "temperature": [2.0, 3.0], "query_scale": 0.123456789, "n": 50}
    axes |= {"key_scale": 0.123456789, "value_scale": 0.123456789, "gate_scale": 0.12345678, "up_scale": 0.123}
    names = [cell.name for cell in Grid.of(axes).cells]
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 130


def test_a_grid_is_read_from_what_was_written():
    grid = Grid.of({**BASE, "method": ["acdc", {"name": "eap", "top": [5]}], "threshold": "0.01,0.1"})
    again = Grid.from_json(json.loads(json.dumps(grid.to_json())))
    assert (again.cells, again.axes) == (grid.cells, grid.axes)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda kept: [], "it holds no object"),
        (lambda kept: kept | {"axes": {"task": "ioi"}}, "axes must be an object of lists"),
        (lambda kept: kept | {"cells": []}, "cells must be a list of at least one"),
        (lambda kept: kept | {"cells": kept["cells"] * 2}, "cells must have different names"),
        (lambda kept: kept | {"cells": [kept["cells"][0] | {"name": "../x"}]}, "cells[0].name must be"),
        (lambda kept: kept | {"cells": [kept["cells"][0] | {"settings": {"task": "ioi"}}]}, "cells[0].settings.model"),
    ],
)
def test_a_written_grid_that_was_changed_is_refused(spoil, said):
    kept = json.loads(json.dumps(Grid.of(BASE).to_json()))
    with pytest.raises(ValueError, match=r".") as refused:
        Grid.from_json(spoil(kept))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"threshold": [0.1, 0.01]}, []),
        ({"threshold": [0.01, 0.1, 1]}, ["the axis threshold had 2 values and has 3 (new: 1)"]),
        ({"threshold": [0.01]}, ["the axis threshold had 2 values and has 1 (gone: 0.1)"]),
        ({"threshold": [0.01, 0.1], "seed": [0, 1]}, ["the axis seed is new (0 and 1)"]),
        ({}, ["the axis threshold is gone (it had 0.01 and 0.1)"]),
        ({"threshold": [0.01, 0.1], "task": "pronouns"}, ["task was ioi and is pronouns"]),
    ],
)
def test_differences_name_the_axis(other, told):
    earlier = Grid.of({**BASE, "threshold": [0.01, 0.1]})
    assert earlier.differences(Grid.of({**BASE, **other})) == told


def test_the_same_values_crossed_otherwise_are_another_sweep():
    pairs = [{"name": "eap", "side": "clean", "top": 5}, {"name": "eap", "side": "corrupted", "top": 6}]
    crossed = {"name": "eap", "side": ["clean", "corrupted"], "top": [5, 6]}
    told = Grid.of({**BASE, "method": pairs}).differences(Grid.of({**BASE, "method": crossed}))
    assert told == ["the same values crossed to 2 cells and do to 4"]


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"thresold": 1}, "unknown axis 'thresold': did you mean threshold"),
        ({"select": 1}, "`select` isn't an axis; a sweep's selections are its axes `top`, `above` and `greedy`"),
        ({"jobs": 2}, "`jobs` isn't an axis, since it is the whole sweep's; give it beside the axes."),
        ({5: 2}, "an axis has a name"),
        ({"method": "acdcc"}, "unknown method 'acdcc': did you mean acdc"),
        ({"method": []}, "the axis `method` is empty"),
        (
            {"method": EapIg(steps=3)},
            "a sweep takes a method by its name with its options as axes: {'name': 'eap-ig', 'steps': 3",
        ),
        ({"method": {"nam": "eap"}}, "has its name beside them"),
        ({"method": {"name": "eap-ig", "stps": 5}}, "the method eap-ig: unknown axis 'stps': did you mean steps"),
        (
            {"method": {"name": "eap-ig", "gates": True, "top": 5}},
            "the method eap-ig has no `gates` (that is an option of acdc)",
        ),
        ({"method": {"name": "acdc", "top": 5}}, "the method acdc decides without"),
        ({"method": {"name": "random", "threshold": 5}}, "the method random has no `threshold`"),
        ({"method": {"name": "acdc", "method": "eap"}}, "the method acdc can't have an axis `method`"),
        ({"method": "acdc,hisp", "steps": 5}, "gives every edge a score and leaves open"),
        (
            {"method": "acdc,random", "steps": 5},
            "none of the methods acdc and random has `steps`, which is an option of hybrid",
        ),
        ({"method": "eap"}, "give `top`, `above`, `greedy` or `threshold`."),
        ({"method": "eap", "top": 5, "threshold": 1}, "`threshold` isn't looked at beside the selection `top`"),
        ({"method": {"name": "eap", "top": 5}, "above": 1}, "`above` isn't looked at beside the selection `top`"),
        ({"top": 5}, "`top` is of a selection"),
        ({"method": "eap", "top": 0}, "a selection takes at least 1 edge, not 0"),
        ({"method": "eap", "above": -1}, "no score's magnitude is below 0"),
        ({"threshold": [0.1, -1]}, "the threshold must be a number of at least 0, got -1.0."),
        ({"threshold": [0.1, 0.2], "budget": 5}, "`budget` searches for the threshold"),
        ({"metric": "kl,k1"}, "unknown metric 'k1': did you mean kl?"),
        ({"ablation": "means"}, "unknown ablation 'means'"),
        ({"engine": "fats"}, "unknown engine 'fats'"),
        ({"dtype": "float23"}, "unknown dtype 'float23': did you mean float32"),
        ({"bos": "maybe"}, "unknown bos 'maybe'"),
        ({"n": 0}, "n must be at least 1, got 0."),
        ({"corruption": "abd"}, "unknown corruption 'abd': did you mean abc"),
        ({"answers": "x"}, "`answers` names columns of a prompt file, and no task of this sweep is one"),
        ({"task": "ioii"}, "unknown task 'ioii': did you mean ioi?"),
        ({"task": "pears.jsonl"}, "pears.jsonl doesn't exist; check the path."),
        ({"task": "mine.toml"}, "mine.toml doesn't exist; check the path."),
        ({"task": "mine.py:Mine"}, "mine.py doesn't exist; check the path."),
        ({"model": "gtp2"}, "unknown model 'gtp2': did you mean gpt2"),
        ({"model": "./nowhere"}, "./nowhere: there is no such folder."),
        ({"model": "~nobody-here/x"}, "~nobody-here/x: there is no such folder."),
        ({"model": "planted-sortt"}, "unknown model 'planted-sortt': did you mean planted-sort"),
        ({"model": "planted-random-L4"}, "planted-random-L4"),
        ({"seed": "0:1000", "n": "1:1001"}, "these axes cross to 1,000,000 cells, and a sweep has 100,000 at most"),
    ],
)
def test_what_makes_no_sweep_is_refused_before_any_work(axes, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AcdcError) as refused:
        Grid.of({**BASE, **axes})
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("needed", ["task", "model"])
def test_a_sweep_is_of_a_task_and_a_model(needed):
    with pytest.raises(AcdcError, match=f"a sweep needs the axis `{needed}`; give it, e.g"):
        Grid.of({name: value for name, value in BASE.items() if name != needed})


def test_a_prompt_file_that_is_bad_inside_is_for_its_cells_to_say(tmp_path):
    for name in ("p.jsonl", "t.toml", "m.py"):
        (tmp_path / name).write_text("= nothing\n", encoding="utf-8")
    tasks = [str(tmp_path / name) for name in ("p.jsonl", "t.toml", "m.py:Mine")]
    assert len(Grid.of({**BASE, "task": tasks}).cells) == 3
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(AcdcError, match=r"it is a folder, not a file"):
        Grid.of({**BASE, "task": str(tmp_path / "folder.jsonl")})


def test_ten_thousand_cells_are_crossed_and_checked_in_seconds():
    begun = time.process_time()
    assert len(Grid.of({**BASE, "seed": "0:100", "threshold": "0.001:1:100log"}).cells) == 10_000
    assert time.process_time() - begun < 5


def test_axes_are_read_and_checked_without_torch(tmp_path):
    (tmp_path / "s.toml").write_text('task = "ioi"\nmodel = ["tiny-tasks", "gpt2", "planted-sort"]\n', encoding="utf-8")
    script = (
        "import sys, acdc.cli.sweep; from acdc.sweeps.grid import Grid; "
        "grid = Grid.of('s.toml', method='acdc,eap', threshold='0.1,1', metric='kl'); "
        "assert len(grid.cells) == 12; assert not {'torch', 'transformer_lens'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)


def test_every_argument_of_a_run_is_an_axis_or_the_sweep_s():
    arguments = set(inspect.signature(discover).parameters)
    assert arguments - set(AXES) == {"select", "threads", "out", "resume", "progress", "announce", "options"}


def test_names_of_the_hub_are_those_of_the_library():
    from transformer_lens.supported_models import MODEL_ALIASES, OFFICIAL_MODEL_NAMES

    aliases = [alias for names in MODEL_ALIASES.values() for alias in names]
    assert short_names() == [*OFFICIAL_MODEL_NAMES, *aliases]
