"""Files that a command is to write, looked at before any work."""

from __future__ import annotations

from pathlib import Path


def check_free(path: Path, option: str) -> None:
    """Raise :class:`RunFolderError` unless nothing stands at a path yet, and there is a folder for it to stand in.

    Args:
        path: of the file to write.
        option: that names it, for the message.
    """
    from acdc.errors import RunFolderError
    from acdc.reading import kind_at

    if kind_at(path) is not None:
        raise RunFolderError(f"{path} exists already; choose another file with {option}.")
    if not path.parent.is_dir():
        raise RunFolderError(f"can't write {path}: there is no folder {path.parent}; choose another with {option}.")
