"""``acdc view``: the file it writes, what it says, and what it refuses."""

import shutil

import pytest

import acdc.explorer.shown


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def opened(monkeypatch):
    """Pages that were opened in a browser."""
    pages = []
    monkeypatch.setattr(acdc.explorer.shown, "_has_window", lambda: True)
    monkeypatch.setattr(acdc.explorer.shown.webbrowser, "open", lambda url: pages.append(url) or True)
    return pages


def test_the_page_is_written_into_the_folder_and_opened(call, run, opened):
    code, out, _ = call("view", "run")
    assert (code, out) == (0, "run/view.html\n")
    assert opened == [(run / "view.html").resolve().as_uri()]
    assert '"prompts":[{' in (run / "view.html").read_text("utf-8")


def test_no_browser_is_opened_and_no_model_run_where_that_is_asked_for(call, run, opened, monkeypatch):
    monkeypatch.setattr("acdc.models.loading.load_model", None)
    code, out, err = call("view", "run", "--no-open", "--no-model", "--out", "page.html", "--title", "mine")
    assert (code, out, err, opened) == (0, "page.html\n", "", [])


def test_where_there_is_no_browser_the_page_is_there_all_the_same(call, run, monkeypatch):
    monkeypatch.setattr(acdc.explorer.shown, "_has_window", lambda: False)
    code, out, err = call("view", "run", "--no-model")
    assert (code, out) == (0, "run/view.html\n")
    assert err == "acdc: warning: no browser was found here; open run/view.html in one.\n"


def test_a_page_stays_readable_for_acdc(call, run):
    assert call("view", "run", "--no-model", "--no-open")[0] == 0
    assert call("show", "run")[0] == 0
    assert call("view", "run", "--no-model", "--no-open")[0] == 0


def test_bad_input_is_told_in_a_sentence(refused, run, tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    (tmp_path / "empty").mkdir()
    assert refused("view", "run", "--no-model", "--out", "mine.html") == (
        "mine.html is there already, and is no page of acdc's; choose another file with --out."
    )
    assert "no-such" in refused("view", "no-such")
    assert "empty" in refused("view", "empty")
    assert refused("view", "run", "--n", "0") == "--n must be at least 1, not 0."
    assert "acdc resume" in refused("view", _unfinished(run, tmp_path))
    assert refused("view", "run", "--no-model", "--task", "ioi").startswith("--task says what to run the model on")


def test_another_model_s_circuit_is_refused(refused, run):
    assert refused("view", "run", "--model", "tiny-tasks").startswith("run is a circuit of another model than tiny-")


def _unfinished(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "unfinished")
    (folder / "circuit.json").unlink()
    record = folder / "run.json"
    record.write_text(record.read_text().replace('"finished"', '"running"', 1))
    return folder.name
