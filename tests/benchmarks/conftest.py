"""Running a benchmark on a tiny model."""

import sys

import pytest
from shapes import Shape, write_model

import acdc


@pytest.fixture(scope="session")
def tiny_shape():
    return Shape(n_layers=2, n_heads=2, d_model=16, vocab_size=50, n_ctx=16)


@pytest.fixture(scope="session")
def tiny_model(tiny_shape, tmp_path_factory):
    return acdc.load_model(write_model(tmp_path_factory.mktemp("models") / "tiny", tiny_shape), device="cpu")


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a benchmark in an empty folder; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(benchmark, *args):
        monkeypatch.setattr(sys, "argv", [benchmark.__name__, *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            benchmark.run()
        return ended.value.code, *capsys.readouterr()

    return run
