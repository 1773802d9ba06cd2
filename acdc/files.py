"""Writing files so that a killed process leaves either the old file or the new one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from acdc.errors import RunFolderError


@contextmanager
def atomic_write(path: Path, mode: str = "w") -> Iterator[IO]:
    """Open a file for writing that takes `path`'s place when the block ends without error.

    Args:
        path: the file to write.
        mode: ``"w"`` for text (UTF-8) or ``"wb"``.

    Raises:
        RunFolderError: the folder can't be written.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise RunFolderError(f"can't write {path}: {error.strerror}; choose another folder.") from error
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)  # mkstemp gives 0600; a result is as readable as any file
        Path(temporary).replace(path)
    except OSError as error:
        raise RunFolderError(f"can't write {path}: {error.strerror}.") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
