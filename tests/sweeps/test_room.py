"""Who may begin beside whom, by memory; and what the machine has."""

import pytest

from acdc import machine
from acdc.sweeps.cells import Cell
from acdc.sweeps.room import PROCESS_BYTES, Room, opening_bytes


def test_who_fits_begins_in_the_order_of_asking_and_who_leaves_makes_room():
    room = Room(10)
    for who, wanted in ((1, 6), (2, 6), (3, 4)):
        room.ask(who, wanted, 0)
    assert [room.admitted() for _ in range(3)] == [1, 3, None]
    room.leave(1)
    assert room.admitted() == 2


def test_what_waits_counts_by_what_it_holds_and_one_alone_may_always():
    room = Room(10)
    room.ask(1, 20, 2)
    assert room.admitted() == 1
    room.ask(2, 1, 1)
    assert room.admitted() is None
    assert room.in_the_way() == [2]
    room.ask(1, 5, 5)  # it waits for less, and is as good as gone but for what it holds
    assert room.admitted() == 2
    assert room.admitted() == 1
    assert room.in_the_way() == []


def test_without_a_limit_all_begin():
    room = Room(None)
    for who in range(3):
        room.ask(who, 10**12, 0)
    assert [room.admitted() for _ in range(4)] == [0, 1, 2, None]


def test_what_waits_with_more_than_fits_gives_way_last_come_first():
    room = Room(10)
    room.hold(0, 6)
    for who in (1, 2, 3):
        room.ask(who, 9, 2)
    assert room.admitted() is None
    assert room.in_the_way() == [3]


def test_a_model_that_is_opened_takes_several_times_its_files(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)
    (tmp_path / "config.json").write_bytes(b"x" * 1000)
    (tmp_path / "model.gguf").write_bytes(b"x" * 10)
    assert opening_bytes(Cell("x", {"model": str(tmp_path)})) == PROCESS_BYTES + 4 * 1010
    assert opening_bytes(Cell("x", {"model": str(tmp_path / "model.gguf")})) == PROCESS_BYTES + 40
    for name in ("tiny-tasks", "nobody/nothing", "~nobody/x", "a\0b"):
        assert opening_bytes(Cell("x", {"model": name})) == PROCESS_BYTES


@pytest.mark.parametrize(("place", "below"), [("HF_HUB_CACHE", ""), ("HF_HOME", "hub")])
def test_a_model_of_the_hub_is_told_by_what_was_brought_here(tmp_path, monkeypatch, place, below):
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv(place, str(tmp_path))
    for revision, size in (("a", 10), ("b", 1000)):
        folder = tmp_path / below / "models--some--thing" / "snapshots" / revision
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"x" * size)
    for name in ("some/thing", "thing"):  # an alias has no owner
        assert opening_bytes(Cell("x", {"model": name})) == PROCESS_BYTES + 4000
    assert opening_bytes(Cell("x", {"model": "others/thing"})) == PROCESS_BYTES


@pytest.mark.parametrize(("visible", "there", "found"), [(None, True, True), (None, False, False), ("", True, False)])
def test_a_gpu_is_seen_by_what_its_driver_leaves(monkeypatch, tmp_path, visible, there, found):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(machine, "_GPUS", (tmp_path if there else tmp_path / "no",))
    assert machine.has_gpu() is found
