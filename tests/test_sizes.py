"""A file holds one idea, and a function can be read without scrolling."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path for room in ("acdc", "tasks", "tests", "benchmarks", "scripts") for path in (ROOT / room).rglob("*.py")
)


def too_long(path, most_lines=400, most_of_a_function=60):
    """What is too long, by name: the file, and functions in it, docstrings included and decorators not."""
    source, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()
    if len(source.splitlines()) > most_lines:
        yield name
    for node in ast.walk(ast.parse(source)):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and node.end_lineno - node.lineno + 1 > most_of_a_function:
            yield f"{name}: {node.name}"


@pytest.fixture(scope="module")
def found():
    return {name for path in FILES for name in too_long(path)}


def test_no_file_is_longer_than_400_lines_and_no_function_than_60(found):
    assert len(FILES) > 200
    assert found == set()


def test_the_measure_measures():
    assert {"tests/test_sizes.py", "tests/test_sizes.py: too_long"} <= set(too_long(Path(__file__), 10, 5))
