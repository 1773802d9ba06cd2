"""A sweep in one process, from axes to rows."""

import pytest

import acdc
from acdc.sweeps.sweep import sweep

pytestmark = pytest.mark.random_models


def test_every_cell_has_a_row(tmp_path):
    axes = {"task": ["ioi", "pronouns"], "model": "tiny-tasks", "threshold": [0.3, 1.0], "n": 2}
    found = sweep(axes, out=tmp_path / "s", jobs=0)
    assert [row["status"] for row in found.rows] == ["finished"] * 4
    alone = acdc.discover("tiny-tasks", "ioi", threshold=0.3, n=2, progress=False)
    assert found.rows[0]["edges"] == alone.circuit.n_edges


def test_the_time_of_a_method_is_its_own_where_selections_share_its_scores(tmp_path):
    axes = {"task": "ioi", "model": "tiny-tasks", "method": "eap-ig", "metric": "logit-diff", "top": "20,50", "n": 5}
    one, other = sweep(axes, out=tmp_path / "s", jobs=0).rows
    assert 0.5 * one["seconds"] < other["seconds"] < 2 * one["seconds"]
