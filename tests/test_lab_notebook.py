"""The notebook of the docs goes through without an error, in its short form: on the bundled model."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "lab.ipynb"

SHORT = """
import acdc
MODEL, TASK, N, HOW = "tiny-tasks", "ioi", 10, {"method": "acdc", "threshold": 0.0003}
"""


@pytest.fixture
def nbformat():
    return pytest.importorskip("nbformat", reason="notebooks aren't installed")


def test_the_lab_notebook_runs_on_the_bundled_model(nbformat, tmp_path):
    client = pytest.importorskip("nbclient", reason="notebooks aren't installed")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (settings,) = [cell for cell in notebook.cells if "settings" in cell["metadata"].get("tags", ())]
    settings["source"] = SHORT
    client.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": tmp_path}}).execute()
