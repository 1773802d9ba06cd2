"""Messages are one line and bounded, whatever they quote."""

import time
import warnings

import pytest

import acdc.errors
from acdc.errors import AcdcError, AcdcWarning, NoGraphError, NoTokenizerError, UnknownNameError
from acdc.graph import Graph
from acdc.wording import first_line, message, one_line, quoted, shortened

LONG = "begin" + "x" * 10_000_000 + "end"
KINDS = [  # those that take a message
    kind
    for kind in vars(acdc.errors).values()
    if isinstance(kind, type)
    and issubclass(kind, AcdcError)
    and kind not in (NoGraphError, NoTokenizerError, UnknownNameError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_bounded_and_keeps_its_beginning_and_its_end(kind):
    said = str(kind(f"{LONG}; leave it out."))
    assert len(said) < 2100
    assert said.startswith("begin")
    assert said.endswith("end; leave it out.")


def test_an_unknown_name_is_bounded_and_quickly_compared():
    started = time.monotonic()
    said = str(UnknownNameError("task", LONG, ["ioi", "acronyms"]))
    assert len(said) < 500
    assert said.endswith("known: acronyms, ioi.")
    assert time.monotonic() - started < 1


def test_an_error_of_few_characters_that_need_escapes_is_bounded():
    assert len(str(AcdcError("\U000e0041" * 10_000_000))) < 2100


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("not so\nTraceback"), "not so."),
        (
            ValueError("Validation error for 'x':\n    TypeError: no int\nmore"),
            "Validation error for 'x': TypeError: no int.",
        ),
        (ValueError("ends here:"), "ends here:."),
        (KeyError("magic"), "'magic' isn't known."),
        (ValueError(), "ValueError."),
    ],
)
def test_what_a_library_says_is_the_end_of_a_sentence(error, said):
    assert first_line(error) == said


def test_a_warning_is_bounded():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(LONG, AcdcWarning, stacklevel=1)
    assert len(str(caught[0].message)) < 2100


def test_an_error_says_nothing_to_a_terminal():
    assert str(AcdcError("x\x1b]0;owned\x07\n\u202ey\udcff.")) == "x\\x1b]0;owned\\x07\\n\\u202ey\\udcff."


def test_an_error_of_other_arguments_keeps_them():
    assert AcdcError().args == ()
    assert AcdcError("a", 3).args == ("a", 3)


def test_visible_text_stays_as_it_is():
    for text in ("", "plain", "\u00e9 \u6f22\u5b57 \U0001f9ea \u0928\u093f \u2192 'quoted' \\n"):
        assert one_line(text) == text
        assert message(text) == text


def test_a_value_is_quoted_and_shortened():
    assert quoted("a'b") == '"a\'b"'
    assert quoted(1.5) == "1.5"
    assert quoted("x" * 1000).startswith("'xxx")
    assert quoted("x" * 1000).endswith("xxx'")
    for value in ("x" * 1000, list(range(10_000)), 10**10_000):
        assert len(quoted(value)) < 250


def test_what_is_short_enough_is_not_cut():
    assert shortened("x" * 2000) == "x" * 2000
    assert len(shortened("x" * 2001)) < 2010


def test_an_edge_s_long_name_is_quoted_shortly():
    with pytest.raises(AcdcError) as caught:
        Graph.from_config(1, 1).edge(LONG)
    assert len(str(caught.value)) < 400
