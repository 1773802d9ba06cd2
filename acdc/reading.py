"""Reading files that somebody else may have put there: regular ones only, and never more than expected."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import IO

#: What stands in a file's place, by its kind; all but files hang once they are opened, or lead elsewhere.
_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path, flags: int = os.O_RDONLY, *, follow: bool = True) -> int:
    """Open a regular file, without waiting for anything; gives its handle.

    Args:
        path: the file.
        flags: of :func:`os.open`.
        follow: whether `path` may be a link to the file.

    Raises:
        OSError: it can't be opened or is no regular file; ``strerror`` says why in words.
    """
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if not follow and path.is_symlink():  # again by O_NOFOLLOW, where the system has it
            raise OSError(errno.ELOOP, "it is a link, not a file", str(path))
        handle = os.open(path, flags | (0 if follow else getattr(os, "O_NOFOLLOW", 0)), 0o666)
    except ValueError as error:  # a NUL, or half of a character
        raise OSError(errno.EINVAL, "no file can have such a name", str(path)) from error
    if not stat.S_ISREG(mode := os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, f"it is {kind_of(mode)}, not a file", str(path))
    return handle


def read_regular(path: Path, *, follow: bool = True, at_most: int | None = None) -> bytes:
    """All of a regular file.

    Raises:
        OSError: it can't be read, is no regular file, has more than `at_most` bytes, or doesn't fit
            into memory.
    """
    with opened(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        if at_most is not None and size > at_most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, and at most {at_most:,} are expected", str(path))
        try:
            return file.read()
        except MemoryError:
            raise OSError(errno.ENOMEM, "it doesn't fit into memory", str(path)) from None


def sha256_of(path: Path) -> str | None:
    """Hex SHA-256 of a regular file; ``None`` where it can't be read."""
    try:
        return hashlib.sha256(read_regular(path)).hexdigest()
    except OSError:
        return None


def opened(path: Path, *, follow: bool = True) -> IO[bytes]:
    """A regular file, open for reading. Raises like :func:`open_regular`."""
    return os.fdopen(open_regular(path, follow=follow), "rb")


def is_gguf(path: Path) -> bool:
    """Whether a path is that of a GGUF file, by its ending."""
    return path.suffix.lower() == ".gguf" and path.is_file()


def is_model(path: Path) -> bool:
    """Whether a path is one that a model may be opened from: a folder, or a GGUF file."""
    return path.is_dir() or is_gguf(path)


def kind_of(mode: int) -> str:
    """What something is, in words (``a file``, ``a link``, ``a pipe``), by its ``st_mode``."""
    return _KINDS.get(stat.S_IFMT(mode), "something else")


def kind_at(path: Path) -> str | None:
    """What stands at `path`, in words; ``None`` for nothing.

    A link is a link, wherever it leads. What can't be looked at counts as nothing: to read or
    write there fails by itself.
    """
    try:
        return kind_of(path.lstat().st_mode)
    except (OSError, ValueError):
        return None
