"""The door for prompt files: what isn't a text file of a bearable size doesn't come in."""

from __future__ import annotations

import stat
from pathlib import Path

from acdc.errors import PromptError

#: Larger files aren't read: what is made of one takes several times as much memory.
MOST_BYTES = 256 * 2**20
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_NOT_REGULAR = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_text(path: Path) -> str:
    """A prompt file's text, without a byte-order mark; line ends are as they are.

    Raises:
        PromptError: there is no such file, it can't be read, it is a folder, a pipe (which would wait for
            ever) or a device, it is too large, or it isn't UTF-8 text; the message names it.
    """
    try:
        status = path.stat()
        kind = stat.S_IFMT(status.st_mode)
        if kind in _NOT_REGULAR:
            raise PromptError(f"{path} can't be read: it is {_NOT_REGULAR[kind]}, not a file of prompt pairs.")
        if status.st_size > MOST_BYTES:
            raise _too_large(path)
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise PromptError(f"{path} doesn't exist; check the path.") from None
    except OSError as error:
        raise PromptError(f"{path} can't be read: {error.strerror}.") from error
    except ValueError:  # a NUL or half of a character in the path
        raise PromptError(f"{str(path)!r} can't be a file's path; check it.") from None
    if len(data) > MOST_BYTES:  # it has grown, or doesn't know its size
        raise _too_large(path)
    return _decoded(path, data)


def _too_large(path: Path) -> PromptError:
    most = MOST_BYTES // 2**20
    return PromptError(f"{path} is too large: at most {most} MiB of prompt pairs are read; take a part of it.")


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
