"""The style of plots is ours alone."""

import pytest


def test_a_matplotlibrc_of_the_working_directory_has_no_say():
    mpl = pytest.importorskip("matplotlib")
    from plots import styled

    with mpl.rc_context({"text.usetex": True, "axes.facecolor": "red", "font.size": 30}), styled():
        assert not mpl.rcParams["text.usetex"]
        assert mpl.rcParams["axes.facecolor"] == "white"
        assert mpl.rcParams["font.size"] == 8
    with mpl.rc_context({"font.size": 30}):
        with styled():
            pass
        assert mpl.rcParams["font.size"] == 30
