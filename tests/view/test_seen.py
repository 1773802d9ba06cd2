import json
from base64 import b64decode

import numpy as np

from acdc.explorer.seen import Likely, Pattern, Seen, SeenNode, SeenPrompt, SizePoint, Written, to_json
from acdc.pairs.looking import ShownAnswer, ShownPair, ShownToken


def seen():
    pair = ShownPair(
        "line 3",
        (ShownToken("<b>", "a", True, ("subject",)), ShownToken(" to", " to", False, ())),
        (ShownAnswer(1, (" Mary",), (" John",), ()),),
        {},
    )
    likely = {"model": [[Likely(" Mary", 0.123456789), Likely(" John", 0.1)]]}
    prompt = SeenPrompt(pair, "abba", True, likely, {"circuit": {"kl": 0.25, "l2": float("nan")}})
    pattern = Pattern(np.array([[1.0, 0.0], [0.25, 0.75]]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    node = SeenNode(
        "induction",
        {"induction": 0.98765432},
        np.array([[1.5, np.nan]]),
        {0: pattern},
        {0: [Written([Likely(" Mary", 3.0)], [Likely(" John", -1.23456), Likely(" a", -1.0)]), Written()]},
    )
    return Seen([prompt], {"a1.h0": node}, [SizePoint(10, 8, {"kl": 1.0, "faithfulness": 0.5})], ["nothing is left"])


def test_all_of_it_is_plain_json_with_five_digits_and_null_for_what_is_no_number():
    found = json.loads(json.dumps(to_json(seen()), allow_nan=False))
    assert found["missing"] == ["nothing is left"]
    assert found["curve"] == [{"asked": 10, "n_edges": 8, "figures": {"kl": 1.0, "faithfulness": 0.5}}]
    (prompt,) = found["prompts"]
    assert prompt["likely"] == {"model": [[[" Mary", 0.12346], [" John", 0.1]]]}
    assert prompt["values"] == {"circuit": {"kl": 0.25, "l2": None}}
    assert prompt["tokens"][0] == {"clean": "<b>", "corrupted": "a", "differs": True, "spans": ["subject"]}
    assert prompt["answers"] == [{"position": 1, "right": [" Mary"], "wrong": [" John"], "corrupted": []}]
    assert (prompt["where"], prompt["template"], prompt["held_out"]) == ("line 3", "abba", True)
    node = found["nodes"]["a1.h0"]
    assert node["label"] == "induction"
    assert node["detectors"] == {"induction": 0.98765}
    assert node["direct"] == [[1.5, None]]
    assert node["writes"] == {"0": [[[" Mary", 3.0], [" John", -1.23, " a", -1.0]], [[], []]]}


def test_a_pattern_is_a_byte_a_place_row_by_row():
    pattern = to_json(seen())["nodes"]["a1.h0"]["patterns"]["0"]
    assert pattern["n"] == 2
    assert list(b64decode(pattern["clean"])) == [255, 0, 64, 191]
    assert list(b64decode(pattern["corrupted"])) == [255, 0, 0, 255]
