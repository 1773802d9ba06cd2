"""Damaging files at random, the same way for the same seed, and bounds for whoever reads them."""

import json
import resource
import signal
from contextlib import contextmanager

#: JSON that Python's writer can't write; a stand-in is written and then replaced.
RAW = {
    "@huge@": "1" + "0" * 5_000,
    "@deep@": "[" * 100_000 + "]" * 100_000,
    "@deepobject@": '{"a":' * 20_000 + "1" + "}" * 20_000,
    "@nan@": "NaN",
    "@inf@": "Infinity",
    "@-inf@": "-Infinity",
    "@1e999@": "1e999",
    "@tiny@": "1e-999",
    "@-0@": "-0",
    "@surrogate@": '"\\ud800"',
    "@control@": '"\\u0000\\u001b[31m\\u202e"',
    "@twice@": '{"a": 1, "a": 2}',
}
VALUES = [
    *(None, True, False, 0, 1, -1, 2, 1.5, -0.5, 3.0, 2**31, 2**63, 10**9, -(10**9), 10**18, 1e300),
    *("", "x", "0", "None", "kl", "../../etc/passwd", "[red]x[/red]", "{0} %s \\N", "a" * 10_000, "é漢\u2028"),
    *([], {}, [[]], [0], [1] * 1_000, [None], {"": 0}, {"score": 1}),
    *RAW,
]
#: Numbers where another was meant.
NUMBERS = (0, -1, 10**9, 1.5, "@huge@", "@inf@", "@nan@")
BYTES = [
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\x1b[2J",
    b"\r",
    b"\n",
    b'"',
    b"{",
    b"]",
    b",",
    b"1e9",
    b"\xed\xa0\x80",
    b"-",
]


class TooMuchError(BaseException):
    """Time ran out; no ``except Exception`` may hide it."""


@contextmanager
def bounded(seconds, gigabytes):
    """No more CPU time than that, and no more memory than what is held already and that."""

    def stop(signum, frame):
        raise TooMuchError(f"more than {seconds} CPU seconds")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:  # noqa: PTH123
        held = int(file.read().split()[0]) * resource.getpagesize()
    before = signal.signal(signal.SIGPROF, stop)
    resource.setrlimit(resource.RLIMIT_AS, (held + int(gigabytes * 2**30), hard))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def damaged_bytes(rng, content):
    """A file with a few bits, bytes or pieces changed."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 3, 10))):
        at, length = rng.randrange(len(content) + 1), rng.choice((1, 2, 10, 200))
        kind = rng.choice(("bit", "cut", "insert", "delete", "repeat"))
        if kind == "bit" and at < len(content):
            content[at] ^= 1 << rng.randrange(8)
        elif kind == "cut" and rng.random() < 0.3:
            del content[at:]
        elif kind == "insert":
            content[at:at] = rng.choice(BYTES) * rng.choice((1, 1, 1, 50))
        elif kind == "delete":
            del content[at : at + length]
        elif kind == "repeat":
            content[at:at] = content[at : at + length]
    return bytes(content)


def damaged_json(rng, data):
    """Parsed JSON with a few parts changed, as the bytes of a file."""
    box = [json.loads(json.dumps(data))]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place, key = rng.choice(list(_places(box, rng)))
        kind = rng.choice(("value", "value", "value", "delete", "rename", "wrap", "copy"))
        if kind == "value":
            place[key] = rng.choice(VALUES)
        elif kind == "delete" and place is not box:
            del place[key]
        elif kind == "rename" and isinstance(place, dict):
            place[rng.choice((f"{key}s", key.upper(), "", "x" * 300, f"\x1b{key}", "__class__"))] = place.pop(key)
        elif kind == "wrap":
            place[key] = rng.choice(([place[key]], {"a": place[key]}, str(place[key])))
        elif kind == "copy":
            other, from_key = rng.choice(list(_places(box, rng)))
            place[key] = json.loads(json.dumps(other[from_key]))
    text = _written(box[0], ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.1 and text.startswith("{") and len(text) > 2:  # the same keys twice
        text = text[:-1] + ", " + text[1:]
    return text.encode("utf-8", "surrogatepass")


def each_key(data, path, values):
    """An object of parsed JSON with each of its values in turn another, as names and bytes of a file."""
    for key in data[path] if path else data:
        for value in values:
            copy = json.loads(json.dumps(data))
            (copy[path] if path else copy)[key] = value
            yield f"{key} {value}", _written(copy).encode("utf-8", "surrogatepass")


def _written(data, ensure_ascii=True):
    text = json.dumps(data, ensure_ascii=ensure_ascii)
    for stand_in, raw in RAW.items():
        text = text.replace(json.dumps(stand_in), raw)
    return text


def _places(box, rng):
    """Some containers with a key of each, at every depth alike: files have thousands of edges and one cfg."""
    here = [(box, 0)]
    while here:
        yield from here
        inner = []
        for place, key in here:
            value = place[key]
            keys = (
                list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
            )
            inner += [(value, one) for one in rng.sample(keys, min(len(keys), 4))]
        here = rng.sample(inner, min(len(inner), 12))
