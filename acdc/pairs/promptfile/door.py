"""The door for prompt files: what isn't a text file of a bearable size doesn't come in."""

from __future__ import annotations

import errno
from pathlib import Path

from acdc.errors import PromptError
from acdc.reading import read_regular

#: Larger files aren't read: what is made of one takes several times as much memory.
MOST_BYTES = 256 * 2**20
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Path, *, at_most: int | None = None, what: str = "prompt pairs") -> str:
    """A prompt file's text, without a byte-order mark; line ends are as they are.

    Args:
        path: the file.
        at_most: how many bytes are read; by default :data:`MOST_BYTES`.
        what: is in it, for messages.

    Raises:
        PromptError: there is no such file, it can't be read, it is a folder, a pipe (which would wait for
            ever) or a device, it is too large, or it isn't UTF-8 text; the message names it.
    """
    at_most = MOST_BYTES if at_most is None else at_most
    try:
        data = read_regular(path, at_most=at_most)
    except FileNotFoundError:
        raise PromptError(f"{path} doesn't exist; check the path.") from None
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise PromptError(
                f"{path} is too large: at most {at_most // 2**20} MiB of {what} are read; take a part of it."
            ) from None
        raise PromptError(f"{path} can't be read: {error.strerror}.") from error
    return _decoded(path, data)


def _decoded(path: Path, data: bytes) -> str:
    if data.startswith(_UTF16_MARKS):
        raise PromptError(f"{path} is UTF-16 text; save it as UTF-8.")
    try:
        # utf-8-sig: spreadsheets put a byte-order mark before the first column's name.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PromptError(f"{path} is not UTF-8 text (line {line}: {error.reason}); save it as UTF-8.") from None
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        raise PromptError(f"{path}, line {line}: a NUL byte is no text; save the file as plain UTF-8 text.")
    return text
