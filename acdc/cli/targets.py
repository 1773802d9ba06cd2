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


def picture_format(diagram: Path) -> str:
    """The format that the ending of a diagram's file says. Raises :class:`SettingsError`."""
    from acdc.errors import SettingsError
    from acdc.export import FORMATS, PICTURES

    format = {FORMATS[name]: name for name in PICTURES}.get(diagram.suffix.lower())
    if format is None:
        endings = ", ".join(FORMATS[name] for name in PICTURES)
        raise SettingsError(f"{diagram} doesn't end in one of {endings}; give another file with --diagram.")
    return format
