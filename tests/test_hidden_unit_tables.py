"""Hidden units as a table: chosen by a stated rule, written, read back, and refused where it is none."""

import numpy as np
import pytest

from acdc.errors import AcdcError, CircuitFileError, SettingsError
from acdc.hiddenunits import HiddenUnits
from acdc.selection import Above, Greedy, Top

SCORES = np.array([[0.5, -2.0, 0.0, 1.0], [1.0, 0.25, -1.0, 0.5]])


def places(units):
    return [tuple(place) for place in np.argwhere(units.kept).tolist()]


def test_the_strongest_are_chosen_and_ties_go_to_the_first():
    assert places(HiddenUnits.chosen(SCORES, Top(3))) == [(0, 1), (0, 3), (1, 0)]  # not (1, 2), of the same size
    assert places(HiddenUnits.chosen(SCORES, Top(1, by="value"))) == [(0, 3)]
    assert places(HiddenUnits.chosen(SCORES, Above(1.0))) == [(0, 1), (0, 3), (1, 0), (1, 2)]
    assert HiddenUnits.chosen(SCORES, Top(4)).strongest(2) == [(0, 1), (0, 3)]
    assert repr(HiddenUnits.chosen(SCORES, Top(4))) == "HiddenUnits(4 of 8 in 2 layers)"


@pytest.mark.parametrize("rule", [Greedy(3), Top(3, level="nodes"), 3, None])
def test_only_rules_without_a_graph_choose(rule):
    with pytest.raises(SettingsError, match="hidden units are chosen by Top or Above"):
        HiddenUnits.chosen(SCORES, rule)


def test_a_choice_that_can_not_be_made_is_refused():
    with pytest.raises(SettingsError, match="9 hidden units is more than the 8 of the model"):
        HiddenUnits.chosen(SCORES, Top(9))
    with pytest.raises(SettingsError, match="hidden unit 1 of layer 1 is no number"):
        HiddenUnits.chosen(np.array([[0.0, 1.0], [2.0, np.nan]]), Top(1))
    with pytest.raises(SettingsError, match=r"both \[n_layers, d_mlp\]"):
        HiddenUnits(SCORES, np.ones(3, dtype=bool))


def test_a_table_comes_back_as_it_was(tmp_path):
    scores = np.random.default_rng(0).standard_normal((3, 50)) * 1e-7
    scores[1, 7] = np.nan
    units = HiddenUnits(scores, scores > 0)
    units.save(tmp_path / "units.csv")
    found = HiddenUnits.load(tmp_path / "units.csv")
    np.testing.assert_array_equal(found.scores, scores)
    np.testing.assert_array_equal(found.kept, units.kept)
    header, *lines = (tmp_path / "units.csv").read_text().splitlines()
    (tmp_path / "shuffled.csv").write_text("\n".join([header, *reversed(lines)]))
    np.testing.assert_array_equal(HiddenUnits.load(tmp_path / "shuffled.csv").kept, units.kept)


GOOD = "layer,unit,score,kept\n0,0,0.5,true\n0,1,,false\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: no table of hidden units: it must say layer,unit,score,kept"),
        ("layer,unit\n", "line 1: .*it must say"),
        ("layer,unit,score,kept\n", "is an empty table"),
        (GOOD + "1,0,0.5\n", "line 4: .*3 values in place of 4"),
        (GOOD + "1,-1,0.5,true\n", "line 4: .*the unit must be a number from 0 up, not '-1'"),
        (GOOD + "1e3,0,0.5,true\n", "line 4: .*the layer must be a number"),
        (GOOD + "99999999999999,0,0.5,true\n", "line 4: .*the layer must be a number"),
        (GOOD + "\u0661,0,0.5,true\n", "line 4: .*the layer must be a number"),
        (GOOD + "1,0,much,true\n", "line 4: .*the score must be a number, not 'much'"),
        (GOOD + "1,0,0.5,yes\n", "line 4: .*kept must be true or false, not 'yes'"),
        (GOOD + "0,1,0.5,true\n", "line 4: .*hidden unit 1 of layer 0 stands there already"),
        (GOOD + "999999999,0,0.5,true\n", r"lists 3 hidden units, and 1000000000 layers of 2 have 2,000,000,000; it"),
        (GOOD + '1,0,"0.5\n', "line 4"),
        ("\x00\x01", "line 1"),
    ],
)
def test_what_is_no_table_is_a_sentence(tmp_path, text, says):
    (tmp_path / "units.csv").write_text(text)
    with pytest.raises(CircuitFileError, match=says) as error:
        HiddenUnits.load(tmp_path / "units.csv")
    assert str(error.value).isprintable()


def test_what_can_not_be_read_is_said(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(AcdcError, match="can't read"):
            HiddenUnits.load(path)
    (tmp_path / "bytes.csv").write_bytes(b"layer,unit,score,kept\n\xff")
    with pytest.raises(CircuitFileError, match="isn't text in UTF-8"):
        HiddenUnits.load(tmp_path / "bytes.csv")
