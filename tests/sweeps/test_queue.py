"""Who runs which cell next."""

from acdc.sweeps.cells import Cell
from acdc.sweeps.queue import Queue, in_turn


def cell(**settings):
    return Cell("-".join(map(str, settings.values())), settings)


def crossed(models=("a",), tasks=("ioi",), thresholds=(0.1, 1.0, 0.5)):
    return [cell(threshold=t, task=task, model=model) for t in thresholds for task in tasks for model in models]


def names(cells):
    return [cell.name for cell in cells]


def test_cells_of_a_model_and_of_a_setting_stand_together_with_large_thresholds_first():
    found = names(in_turn(crossed(models=("a", "b"), tasks=("ioi", "plural"), thresholds=(0.1, 1.0))))
    expected = [f"{t}-{task}-{model}" for model in "ab" for task in ("ioi", "plural") for t in (1.0, 0.1)]
    assert found == expected


def test_cells_of_a_method_stand_together_so_that_edges_are_scored_once():
    cells = [
        cell(top=top, task="ioi", model="a", method=method, steps=steps)
        for top in (1, 2)
        for method, steps in (("eap-ig", 5), ("eap", None), ("eap-ig", 10))
    ]
    assert [one.settings["top"] for one in in_turn(cells)] == [1, 2] * 3


def test_a_worker_stays_with_its_setting_then_its_model_then_goes_where_nobody_is():
    queue = Queue(crossed(models=("a", "b"), tasks=("ioi", "plural"), thresholds=(0.1, 1.0)))
    first, second = queue.take(1), queue.take(2)
    assert (first.name, second.name) == ("1.0-ioi-a", "1.0-ioi-b")
    assert names(queue.take(1) for _ in range(3)) == ["0.1-ioi-a", "1.0-plural-a", "0.1-plural-a"]
    assert queue.take(1).name == "1.0-plural-b"  # of the other's model, but nobody is on it
    assert len(queue) == 2


def test_a_worker_without_work_helps_where_most_cells_wait():
    cells = crossed(thresholds=(1, 2)) + crossed(models=("b",), thresholds=(1, 2, 3, 4))
    queue = Queue(cells)
    queue.take(1)
    queue.take(2)
    queue.take(1)
    assert queue.take(1).name == "3-ioi-b"
    assert names([queue.take(2), queue.take(1)]) == ["2-ioi-b", "1-ioi-b"]
    assert queue.take(1) is queue.take(2) is None


def test_every_cell_is_given_once_and_one_given_back_again():
    cells = crossed(models=("a", "b", "c"), tasks=("ioi", "plural"))
    queue = Queue(cells)
    taken = [queue.take(n % 4) for n in range(len(cells))]
    assert sorted(names(taken)) == sorted(names(cells))
    assert queue.take(0) is None
    queue.give_back(taken[7])
    assert len(queue) == 1
    queue.leave(3)
    assert queue.take(3) == taken[7]
    assert queue.take(3) is None
