"""Plots of a sweep: which fit its axes, what they show, and what can't be drawn."""

import math

import pytest
from made_sweeps import cells, figures, made

from acdc.errors import SettingsError, UnknownNameError
from acdc.sweeps import plots
from acdc.sweeps.plots import chosen, fitting
from acdc.sweeps.series import Frame, panels

THRESHOLDS = [0.001, 0.01, 0.1]
TASKS = ["ioi", "pronouns"]
STEPS = [f"models/step-{n}" for n in (0, 100, 1000)]


@pytest.fixture
def frame(tmp_path):
    """The finished cells of a sweep over some axes."""

    def frame(*made_cells, figures=figures, **axes):
        return Frame(made(tmp_path / "s", made_cells or cells(**axes), figures))

    return frame


def with_rates(settings):
    share = 1 - 10 * settings["threshold"]
    return figures(settings) | {
        "recall": share + settings["seed"] * 0.001,
        "precision": 0.5,
        "false_positive_rate": 0.1 * share,
    }


@pytest.mark.parametrize(
    ("axes", "names"),
    [
        ({"threshold": THRESHOLDS, "seed": [0, 1]}, "size-kl size-faithfulness cost threshold-edges"),
        (
            {"threshold": THRESHOLDS, "task": TASKS},
            "size-kl size-faithfulness cost threshold-edges heat-threshold-task",
        ),
        ({"method": ["acdc", "hybrid"]}, "size-kl size-faithfulness cost method-faithfulness"),
        ({"method": ["acdc", "hybrid"], "task": TASKS}, "size-kl size-faithfulness cost heat-method-task"),
        ({"model": STEPS, "seed": [0, 1]}, "checkpoint-edges checkpoint-faithfulness"),
        ({"model": STEPS, "task": TASKS}, "checkpoint-edges checkpoint-faithfulness heat-checkpoint-task"),
        (
            {"threshold": THRESHOLDS, "task": TASKS, "seed": [0]},
            "size-kl size-faithfulness cost threshold-edges heat-threshold-task",
        ),
        ({}, "size-kl size-faithfulness cost"),
    ],
)
def test_plots_fit_the_axes(frame, axes, names):
    assert " ".join(plot.name for plot in fitting(frame(**axes))) == names


def test_there_is_a_roc_curve_where_a_reference_is_known(frame):
    names = [plot.name for plot in fitting(frame(threshold=THRESHOLDS, seed=[0, 1], figures=with_rates))]
    assert "roc" in names


def test_points_are_means_over_seeds_with_their_spread(frame):
    (panel,) = panels(frame(threshold=[0.1], seed=[0, 1, 2]), "edges", "faithfulness_held_out")
    (line,) = panel.lines
    (point,) = line.points
    sizes = [38, 39, 40]
    shares = [size / (size + 20 + seed) for seed, size in enumerate(sizes)]
    mean = sum(shares) / 3
    assert (point.x, point.y, point.n) == pytest.approx((39, mean, 3))
    assert (point.x_spread, point.y_spread) == pytest.approx(
        (1, math.sqrt(sum((one - mean) ** 2 for one in shares) / 2))
    )


def test_methods_have_colours_and_tasks_panels(frame):
    found = panels(
        frame(threshold=THRESHOLDS, task=TASKS, method=["acdc", "hybrid"], seed=[0, 1]), "edges", "kl_held_out"
    )
    assert [panel.title for panel in found] == TASKS
    assert [line.label for line in found[0].lines] == ["acdc", "hybrid"]
    assert [len(line.points) for line in found[0].lines] == [3, 3]
    assert all(line.connected for panel in found for line in panel.lines)


def test_an_option_of_one_method_stands_beside_its_name(frame):
    made_cells = [*cells(method=["eap"], top=[10, 20]), *cells(method=["eap-ig"], top=[10, 20], steps=[5, 10])]
    (panel,) = panels(frame(*made_cells), "edges", "kl_held_out")
    assert [line.label for line in panel.lines] == ["eap", "eap-ig, steps 5", "eap-ig, steps 10"]


def test_thresholds_of_methods_that_score_edges_stand_beside_those_of_acdc(frame):
    made_cells = [*cells(threshold=THRESHOLDS), *cells(method=["eap"], above=THRESHOLDS)]
    (panel,) = panels(frame(*made_cells), "threshold", "edges")
    assert [[point.x for point in line.points] for line in panel.lines] == [THRESHOLDS, THRESHOLDS]
    assert panel.lines[0].connected


def test_a_line_goes_over_checkpoints(frame):
    (panel,) = panels(frame(model=STEPS, seed=[0, 1]), "checkpoint", "edges")
    (line,) = panel.lines
    assert [point.x for point in line.points] == [0, 100, 1000]
    assert line.connected


def test_sizes_of_different_checkpoints_are_lines_apart(frame, monkeypatch):
    drawn = {}

    def remember(plt, found, x, y, *, ordered, **rest):
        drawn[y] = [line.label for panel in found for line in panel.lines if line.connected], ordered

    monkeypatch.setattr(plots, "draw_lines", remember)
    for plot in fitting(frame(threshold=THRESHOLDS, model=STEPS)):
        if plot.name.startswith(("size", "cost")):
            plot.draw(None)
    labels = ["checkpoint 0", "checkpoint 100", "checkpoint 1000"]
    assert drawn == dict.fromkeys(("kl_held_out", "faithfulness_held_out", "seconds"), (labels, True))


def test_words_stand_along_an_axis_and_numbers_may_be_colours(frame):
    found = frame(threshold=THRESHOLDS, task=TASKS)
    (panel,) = panels(found, "task", "kl_held_out", "threshold")
    assert [line.label for line in panel.lines] == ["threshold 0.001", "threshold 0.01", "threshold 0.1"]
    assert [point.x for point in panel.lines[0].points] == TASKS
    (panel,) = panels(frame(threshold=THRESHOLDS), "edges", "kl_held_out", "seconds")
    assert [point.hue for point in panel.lines[0].points] == pytest.approx([3.8, 30.8, 300.8])


def test_what_has_one_short_name_stays_apart(frame):
    found = frame(model=["a/gpt2", "b/gpt2"], task=["x/p.jsonl", "y/p.jsonl"], threshold=[0.12345671, 0.12345672])
    lines = [panel.title + line.label for panel in panels(found, "edges", "kl_held_out") for line in panel.lines]
    assert len(set(lines)) == 4
    assert [line.label for line in panels(found, "task", "edges", "threshold")[0].lines] == [
        "threshold 0.12345671",
        "threshold 0.12345672",
    ]


def test_two_axes_make_a_heat_map(frame, tmp_path):
    (plot,) = chosen(frame(threshold=THRESHOLDS, task=TASKS), "threshold", "task", "edges")
    assert plot.name == "heat-edges-by-threshold-task"


def test_all_plots_are_drawn_in_both_formats(tmp_path):
    swept = made(tmp_path / "s", cells(threshold=THRESHOLDS[1:], task=["$a_b$", "b"], seed=[0, 1]), with_rates)
    found = swept.plot()
    assert {path.suffix for path in found} == {".png", ".svg"}
    assert all(path.parent == tmp_path / "s" / "plots" and path.stat().st_size > 1000 for path in found)
    roc = (tmp_path / "s" / "plots" / "roc.svg").read_text()
    assert "$a_b$: 0." in roc


def test_one_plot_goes_into_a_file(tmp_path):
    swept = made(tmp_path / "s", cells(threshold=THRESHOLDS))
    assert swept.plot("threshold", "kl", out=tmp_path / "a.png") == [tmp_path / "a.png"]
    content = (tmp_path / "a.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    swept.plot("threshold", "kl", out=tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes() == content
    (png, svg) = swept.plot(y="faithfulness", out=tmp_path / "new")
    assert (png.name, svg.name) == ("faithfulness_held_out-by-edges.png", "faithfulness_held_out-by-edges.svg")


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"x": "treshold"}, UnknownNameError, "unknown column 'treshold': did you mean threshold"),
        ({"y": "faithfulnes"}, UnknownNameError, "did you mean faithfulness"),
        ({"y": "faithfulness_metric"}, SettingsError, "doesn't hold numbers, and `y` must"),
        ({"y": "edges", "x": "edges"}, SettingsError, "are both edges"),
        ({"y": "sentence"}, SettingsError, "no finished cell has a value in the column sentence"),
        ({"hue": "sentence"}, SettingsError, "no finished cell has a value in the column sentence"),
        ({"x": "sentence"}, SettingsError, "no finished cell has both sentence and faithfulness_held_out"),
        ({"x": "threshold", "y": "task", "hue": "method"}, SettingsError, "doesn't hold numbers, and `hue` must"),
        ({"x": 3}, SettingsError, "`x` must be a name .text., not 3"),
        ({"y": ["edges"]}, SettingsError, "`y` must be a name .text., not .'edges'."),
        ({"hue": True}, SettingsError, "`hue` must be a name .text., not True"),
        ({"out": "a.PDF", "x": "edges"}, SettingsError, "written as .png or .svg, not as .PDF; give another `out`."),
        ({"out": "a.png"}, SettingsError, "one file, and the plots are several"),
    ],
)
def test_what_cannot_be_drawn_is_said(tmp_path, given, error, said):
    with pytest.raises(error, match=said):
        made(tmp_path / "s", cells(threshold=THRESHOLDS), failed=[2]).plot(**given)


@pytest.mark.filterwarnings("error")  # matplotlib's, of panels that have no room left
def test_names_as_long_as_the_system_takes_leave_room_for_the_panels(tmp_path):
    tasks = [f"{letter * 240}.jsonl" for letter in "abc"]
    swept = made(tmp_path / "s", cells(task=tasks, seed=[0, 1]))
    assert swept.plot()
    assert swept.plot(x="task", y="kl")
    assert swept.plot(x="task", y="seed", hue="kl")


def test_nothing_is_drawn_of_failures_alone(tmp_path):
    with pytest.raises(SettingsError, match="no cell of the sweep has finished: there is nothing to plot yet"):
        made(tmp_path / "s", cells(threshold=THRESHOLDS), failed=range(3)).plot()


def test_means_and_failures_in_words(tmp_path):
    swept = made(tmp_path / "s", cells(threshold=[0.1, 1.0], seed=[0, 1, 2]), failed=[5])
    heads, rows = swept.means.words
    assert heads == ["threshold", "cells", "edges", "faithfulness held out", "kl held out", "seconds"]
    assert rows[0][:3] == ["0.1", "3", "39 ± 1"]
    assert [row[1] for row in rows] == ["3", "2"]
    assert made(tmp_path / "all", cells(threshold=[0.1, 1.0], seed=[0, 1])).means.words[0][:2] == ["threshold", "edges"]
    assert list(swept.failures) == ["the model is too large."]
    assert repr(swept).endswith("5 finished, 1 failed)")
    page = made(tmp_path / "t", cells(task=["<b>"], seed=[0, 1]), failed=[1])._repr_html_()
    assert "&lt;b&gt;" in page
    assert "the model is too large." in page


def test_what_each_method_has_one_of_has_no_panel_and_lines_go_through_the_sizes_of_each(frame):
    some = [
        *cells(method=["acdc"], threshold=THRESHOLDS, metric=["kl"], task=TASKS),
        *cells(method=["eap-ig"], top=[10, 100], metric=["logit-diff"], task=TASKS),
    ]
    found = panels(frame(*some), "edges", "kl_held_out")
    assert [panel.title for panel in found] == TASKS
    assert [[line.label for line in panel.lines] for panel in found] == [["acdc", "eap-ig"]] * 2
    assert all(line.connected for panel in found for line in panel.lines)
    own = panels(frame(*some), "edges", "kl_held_out", "task")
    assert [panel.title for panel in own] == ["acdc", "eap-ig"]


def test_circuits_without_edges_have_a_place_in_every_panel(tmp_path):
    def empty(settings):
        return figures(settings) | {"edges": {0.001: 300, 0.01: 30, 0.1: 0}[settings["threshold"]]}

    written = made(tmp_path / "s", cells(threshold=THRESHOLDS, task=TASKS), empty).plot(x="edges", y="faithfulness")
    assert all(path.is_file() for path in written)


def test_what_a_method_has_several_of_tells_its_lines_apart(frame):
    some = cells(method=["acdc"], threshold=THRESHOLDS, metric=["kl", "l2"])
    (one, other) = panels(frame(*some, *cells(method=["eap"], top=[10, 100], metric=["l2"])), "edges", "kl_held_out")
    assert (one.title, other.title) == ("metric kl", "metric l2")
