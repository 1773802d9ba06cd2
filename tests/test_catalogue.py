"""Models by name: what lies in a folder of models, and what their cards say."""

import shutil

import pytest

import acdc
from acdc.bundled import bundled_models, models_in
from acdc.errors import UnknownNameError
from acdc.knownmodels.catalogue import known_models
from acdc.models import opening


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ACDC_CACHE", str(tmp_path))
    return tmp_path / "models"


def test_a_model_in_the_cache_opens_by_name_and_so_do_its_checkpoints(cache):
    for name in ("mine", "mine/step-2", "mine/step-10", ".half"):
        shutil.copytree(bundled_models()["tiny-tasks"], cache / name)
    (cache / "no-model").mkdir()
    assert list(models_in(cache)) == ["mine", "mine/step-2", "mine/step-10"]
    found = known_models()["mine"]
    assert (found.kind, found.checkpoints) == ("trained", ("mine/step-2", "mine/step-10"))
    assert "mine/step-2" not in known_models()
    assert "4 layers of 8 heads" in repr(acdc.load_model("mine/step-10"))


def test_a_checkpoint_that_a_known_model_lacks_is_said_without_a_network(cache, monkeypatch):
    shutil.copytree(bundled_models()["tiny-tasks"], cache / "mine" / "step-2")
    monkeypatch.setattr(opening, "cached_folder", None)
    for name, near in (
        ("modular-addition/step-301", "modular-addition/step-300"),
        ("modular-addition/step-300/x", "modular-addition/step-300"),
        ("mine/step-3", "mine/step-2"),
        ("tiny-tasks/x", "tiny-tasks"),
        ("planted-sort/x", "planted-sort"),
        ("smollm2-135m/x", "smollm2-135m"),
    ):
        with pytest.raises(UnknownNameError, match=f"unknown model '{name}'") as caught:
            acdc.load_model(name)
        assert near in caught.value.nearest


def test_bundled_models_come_before_others_of_their_name(cache):
    shutil.copytree(bundled_models()["tiny-tasks"], cache / "tiny-tasks")
    assert known_models()["tiny-tasks"].kind == "bundled"


@pytest.mark.parametrize(
    ("card", "said", "tasks"),
    [
        (
            b"---\nlicense: mit\n---\n\n# name\n\nIt does\nthis. And that.\n\n| sorting | 99 % |",
            "It does this.",
            ("sorting",),
        ),
        (b"# name\r\n\r\nOne sentence\r\n", "One sentence", ()),
        (b"\xff\xfe", "it has no card", ()),
        (b"", "its card says nothing", ()),
        (b"word " * 1000, "word word", ()),
        (None, "it has no card", ()),
    ],
)
def test_a_card_says_what_is_known(cache, card, said, tasks):
    (cache / "mine").mkdir(parents=True)
    (cache / "mine" / "config.json").write_text("{}")
    if card is not None:
        (cache / "mine" / "README.md").write_bytes(card)
    found = known_models()["mine"]
    assert found.summary.startswith(said)
    assert len(found.summary) < 400
    assert found.tasks == tasks


def test_every_bundled_model_says_what_is_known_of_it():
    for one in known_models().values():
        assert one.kind != "bundled" or (one.summary.endswith(".") and one.folder.is_dir())
