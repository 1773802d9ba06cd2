"""``acdc sweep``: axes by options and by a file, the folder that it writes, and what it refuses."""

import json
import re

import pytest

import acdc.sweeps.sweep
from acdc.cli.discover import discover
from acdc.errors import SweepInterrupted
from acdc.sweeps.axes import AXES

PLANTED = ("--task", "planted-sort", "--model", "planted-sort", "--n", "5", "--jobs", "0")
FILE = """task = "planted-sort"
model = "planted-sort"
n = 5
threshold = "0.1,1"
[[method]]
name = "eap-ig"
top = [3, 4]
"""


@pytest.fixture
def file(tmp_path):
    def file(text, name="mine.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return name

    return file


def cells(folder):
    return {path.name for path in (folder / "runs").iterdir()}


def test_options_cross_and_a_second_call_has_nothing_left_to_do(call, tmp_path):
    code, out, err = call("sweep", *PLANTED, "--method", "acdc,eap-ig", "--threshold", "0.1:1:2lin")
    folder = tmp_path / "sweeps" / "planted-sort-planted-sort-acdc+eap-ig"
    assert (code, out.splitlines()[0]) == (0, "4 of 4 cells finished"), err
    assert len(cells(folder)) == 4
    assert (folder / "table.csv").is_file()
    assert "of eap-ig, --threshold is the selection --above." in err
    code, out, err = call("sweep", *PLANTED, "--method", "eap-ig,acdc", "--threshold", "1,0.1")
    assert (code, out.splitlines()[0]) == (0, "4 of 4 cells finished")
    assert "4 of 4 cells are finished already" in err
    assert call("sweep", *PLANTED, "--method", "acdc,eap-ig", "--threshold", "0.1,1", "--no-resume")[0] == 2
    call("sweep", *PLANTED, "--method", "acdc,eap-ig", "--threshold", "0.1")
    assert len(cells(tmp_path / "sweeps" / "planted-sort-planted-sort-acdc+eap-ig-2")) == 2


def test_options_take_the_place_of_the_file_s(call, file, tmp_path):
    code, _, err = call("sweep", file(FILE), "--jobs", "0", "--method", "acdc", "--n", "6")
    assert code == 0, err
    assert cells(tmp_path / "sweeps" / "mine") == {
        f"planted-sort-planted-sort-acdc-n6-threshold{t}" for t in ("0.1", "1")
    }


def test_a_cell_that_fails_is_said_and_hurts_no_other(call, tmp_path):
    (tmp_path / "p.jsonl").write_text("{}\n", encoding="utf-8")
    options = ("--model", "planted-sort", "--n", "5", "--jobs", "0", "--out", "s")
    code, out, err = call("sweep", "--task", "p.jsonl,planted-sort", *options)
    assert (code, out.splitlines()[0]) == (0, "1 of 2 cells finished")
    assert "failed: p-planted-sort-acdc-n5: p.jsonl, line 1: " in err
    assert call("sweep", "--task", "p.jsonl", *options[:-1], "t")[0] == 2


def test_a_dry_run_lists_cells_with_time_and_memory_and_writes_nothing(call, tmp_path):
    (tmp_path / "p.jsonl").write_text("{}\n", encoding="utf-8")
    call("sweep", *PLANTED, "--threshold", "0.1", "--out", "s")
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = call("sweep", *PLANTED, "--threshold", "0.1", "--out", "s", "--dry-run")
    assert (code, out.splitlines()[-1]) == (0, "1 cell; 1 finished already")
    options = ("--model", "planted-sort", "--n", "5", "--threshold", "0.1,1", "--jobs", "2", "--dry-run")
    code, out, _ = call("sweep", "--task", "planted-sort,p.jsonl", *options)
    *lines, last = out.splitlines()
    assert [line.split()[0] for line in lines] == [
        f"{task}-planted-sort-acdc-n5-threshold{threshold}" for task in ("planted-sort", "p") for threshold in (0.1, 1)
    ]
    assert all(re.search(r" \d+(\.\d)? s +\d+\.\d\d GB$", line) for line in lines[:2])
    assert all("will fail: p.jsonl, line 1: " in line for line in lines[2:])
    assert last.startswith("4 cells; 2 that will fail, 2 to run: about ")
    assert " with 2 jobs, which hold at most " in last
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--jobs", "-1"), "--jobs must be from 0 to 1024, not -1."),
        (("--memory", "-1"), "--memory must be a number over 0"),
        (("--jobs", "0", "--memory", "1"), "--memory is shared by processes"),
        (("--cluster", "foo"), "--cluster can't be 'foo'"),
        (("--cpus", "1"), "--cpus is of cells on a cluster"),
        (("--reference", "none"), "unknown reference circuit 'none'"),
        (("--device", "cudaa"), "unknown device 'cudaa': did you mean cuda"),
        (("--device", "cuda:one"), "the device 'cuda:one' has no number behind its colon"),
        (("--out", "file"), "file is a file; choose another folder with --out."),
        (("--out", "other"), "other holds another sweep: the axis seed had 1 value and has 2 (new: 0)"),
        (("--out", "other", "--seed", "1", "--curve"), "curves were not measured in it (--curve)"),
        (("--out", "same", "--no-resume"), "same holds this sweep already; go on with it by --resume"),
    ],
)
def test_a_dry_run_refuses_what_the_sweep_would(call, tmp_path, monkeypatch, options, said):
    monkeypatch.setattr(acdc.sweeps.sweep, "_run", lambda *args, **kwargs: None)
    (tmp_path / "file").write_text("", encoding="utf-8")
    planted = PLANTED[:-2]  # without its jobs
    call("sweep", *planted, "--out", "other", "--seed", "1")
    call("sweep", *planted, "--out", "same", "--seed", "0,1")
    before = sorted(tmp_path.rglob("*"))
    for last in ((), ("--dry-run",)):
        code, _, err = call("sweep", *planted, "--seed", "0,1", *options, *last)
        assert (code, said in err) == (2, True), err
    assert sorted(tmp_path.rglob("*")) == before


def test_an_interrupted_sweep_says_how_to_go_on(call, monkeypatch):
    def interrupted(grid, out, **options):
        raise SweepInterrupted(out, 3, 12)

    monkeypatch.setattr(acdc.sweeps.sweep, "sweep", interrupted)
    code, _, err = call("sweep", *PLANTED, "--no-resume")
    folder = "sweeps/planted-sort-planted-sort-acdc"
    again = f"acdc sweep {' '.join(PLANTED)} --out {folder}"
    assert (code, err.splitlines()[-1]) == (
        130,
        f"interrupted; 3 of 12 cells are finished in {folder}. Go on with: {again}",
    )


def test_another_sweep_s_folder_is_refused_with_what_differs(call, tmp_path):
    call("sweep", *PLANTED, "--out", "s")
    before = (tmp_path / "s" / "sweep.json").read_bytes()
    code, _, err = call("sweep", *PLANTED, "--seed", "0,1", "--out", "s")
    assert code == 2
    assert "s holds another sweep: the axis seed is new (0 and 1); ask for the same one" in err
    assert (tmp_path / "s" / "sweep.json").read_bytes() == before
    assert json.loads(before)["grid"]["cells"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('task = "ioi"\nmodel = tiny\n', "mine.toml: this is not TOML: Invalid value (at line 2, column 9)"),
        (
            'task = "ioi"\nseed = "5:0"\n',
            "mine.toml: the range '5:0' of seed is empty: its end is left out; write 0:5.",
        ),
        ('task = "ioi"\nseed = nan\n', "mine.toml: seed must be a whole number, not nan."),
        ('task = "ioi"\nseed = 2026-01-01\n', "mine.toml: a value of the axis seed must be plain"),
        (
            "seed = 07:32:00\n",
            "mine.toml: a value of the axis seed must be plain (a whole number), not a date or a time: ",
        ),
        ("seed = true\n", "mine.toml: seed must be a whole number, not true."),
        ("gates = 1\n", "mine.toml: gates must be true or false, not 1."),
        ("[[method]]\n", 'mine.toml: a method with axes of its own has its name beside them, e.g. name = "eap-ig".'),
        ("task = 5\n", "mine.toml: task must be a name (text), not 5."),
        ("seed = []\n", "mine.toml: the axis seed is empty; give it a value, or leave it out."),
        ("sed = 5\n", "mine.toml: unknown axis 'sed': did you mean seed"),
        ("jobs = 5\n", "mine.toml: jobs isn't an axis, since it is the whole sweep's; give it beside the file."),
        ('[axes]\ntask = "ioi"\n', "mine.toml: unknown axis 'axes'"),
        ("[seed]\nfrom = 1\n", "mine.toml: a value of the axis seed must be plain, not {'from': 1}"),
        (
            '[[method]]\nname = "eap-ig"\nstps = 5\n',
            "mine.toml: the method eap-ig: unknown axis 'stps': did you mean steps",
        ),
        ('[[method]]\nname = "eap-ig"\nsteps = "5:0"\n', "mine.toml: the method eap-ig: the range '5:0' of steps"),
        ("[[method]]\nsteps = 5\n", "mine.toml: a method with axes of its own has its name beside them"),
        ('task = "ioi"\n', "mine.toml: a sweep needs the axis model; give it, e.g. tiny-tasks."),
        (
            'task = "ioi"\nmodel = "tiny-tasks"\nsteps = 5\n',
            "mine.toml: the method acdc has no steps, which is an option",
        ),
        ("# nothing\n", 'mine.toml holds no axes; write e.g. task = "ioi" into it.'),
    ],
)
def test_a_file_that_makes_no_sweep_is_refused_with_its_name(refused, file, text, said):
    assert refused("sweep", file(text)).startswith(said)


def test_what_is_no_text_file_is_refused(refused, tmp_path):
    (tmp_path / "b.toml").write_bytes(bytes(range(256)))
    (tmp_path / "d.toml").mkdir()
    assert refused("sweep", "b.toml") == "b.toml is not UTF-8 text (line 2: invalid start byte); save it as UTF-8."
    assert refused("sweep", "d.toml").startswith("d.toml is a folder; a sweep's axes stand in a TOML file")
    assert refused("sweep", "none.toml") == "none.toml doesn't exist; check the path."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--jobs", "2"], "nothing says what to run; give a TOML file of axes, or --task, --model and others."),
        (["--task", "ioi"], "a sweep needs the axis --model; give it, e.g. tiny-tasks."),
        (
            ["--task", "ioi", "--model", "tiny-tasks", "--method", "acdc,random", "--steps", "5"],
            "none of the methods acdc",
        ),
        (["--task", "ioi", "--model", "tiny-tasks", "--gates", "maybe"], "--gates must be true or false, not 'maybe'."),
        (["--task", "ioi", "--model", "tiny-tasks", "--thresold", "1"], "No such option '--thresold'"),
        (
            ["--task", "ioi", "--model", "tiny-tasks", "--method", "eap"],
            "give --top, --above, --greedy or --threshold.",
        ),
        (["--task", "ioi", "--model", "tiny-tasks", "--jobs", "-1"], "--jobs must be from 0 to 1024, not -1."),
        (["shwo", "x"], "unknown command 'shwo': did you mean show?"),
    ],
)
def test_options_that_make_no_sweep_are_refused(refused, words, said):
    assert said in refused("sweep", *words)


def test_every_option_of_a_run_that_says_what_is_found_is_an_axis(call):
    code, out, _ = call("sweep", "--help")
    assert code == 0
    options = {option.name: option.opts[0] for option in discover.params if option.name in AXES}
    assert len(options) > 50
    assert all(f"{name} " in out or f"{name}\n" in out for name in options.values() if name.startswith("--"))
    assert "show" in out.partition("Commands:")[2]
