"""A page handed back: in the browser, in a notebook."""

import webbrowser

import pytest
from tiny import pairs, write_pairs

import acdc
from acdc.errors import AcdcWarning
from acdc.explorer.page import page
from acdc.explorer.shown import MARK, View


@pytest.fixture
def written(tmp_path):
    return View(f"<!doctype html>{MARK}").save(tmp_path / "view.html")


def test_every_page_bears_the_mark_near_its_beginning():
    assert MARK in page("t" * 100, {})[:500]


def test_a_page_opens_in_the_browser_by_its_address(written, monkeypatch):
    asked = []
    monkeypatch.setattr(webbrowser, "get", lambda: webbrowser.BackgroundBrowser("browser"))
    monkeypatch.setattr(webbrowser, "open", lambda url: asked.append(url) or True)
    assert written.open()
    assert asked == [written.path.resolve().as_uri()]


@pytest.mark.parametrize("there", ["none", "one in the terminal", "one that fails"])
def test_where_no_browser_is_there_the_file_is_named(written, monkeypatch, there):
    def get():
        if there == "none":
            raise webbrowser.Error("could not locate runnable browser")
        return webbrowser.GenericBrowser("w3m") if there == "one in the terminal" else webbrowser.Mozilla("firefox")

    monkeypatch.delenv("BROWSER", raising=False)
    monkeypatch.setattr(webbrowser, "get", get)
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    with pytest.warns(AcdcWarning, match="no browser was found here; open .*view.html in one"):
        assert not written.open()


@pytest.mark.random_models
def test_in_a_notebook_a_page_runs_in_a_frame_of_its_own(open_page, gpt2_model, tmp_path):
    task = write_pairs(tmp_path / "pairs.jsonl", pairs(8))
    run = acdc.discover(gpt2_model, task, n=4, threshold=0.01, out=None, progress=False)
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f"<!doctype html><html data-ready='1'>{run.view(progress=False)._repr_html_()}</html>", "utf-8")
    opened = open_page(notebook)
    frame = opened.frames[1]
    frame.wait_for_selector("html[data-ready]", state="attached", timeout=20_000)
    frame.evaluate("document.querySelector('#graph [tabindex]')?.focus()")
    for key in ("Enter", "ArrowUp", "+", "Escape"):
        opened.keyboard.press(key)
    opened.wait_for_timeout(500)  # the state would be written into the address a while after it has changed
    assert frame.evaluate("location.href") == "about:srcdoc"
