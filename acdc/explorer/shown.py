"""A page as it is handed back: written, opened in a browser, or shown in a notebook."""

from __future__ import annotations

import html
import os
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from acdc.errors import RunFolderError, warn
from acdc.files import atomic_write
from acdc.reading import kind_at, opened

#: Stands near the beginning of every page, and tells it from somebody else's file.
MARK = '<meta name="generator" content="acdc view">'
_LOOKED_AT = 2000  # bytes, in which the mark stands
_HEIGHT = 760  # of the frame in a notebook, in pixels


@dataclass(frozen=True)
class View:
    """The page that explores a run: one HTML file that needs nothing else.

    In a notebook it shows itself.

    Attributes:
        html: all of it.
        path: the file that it was written into, if it was.
    """

    html: str
    path: Path | None = None

    def __repr__(self) -> str:
        where = "" if self.path is None else f", path={str(self.path)!r}"
        return f"View({len(self.html.encode(errors='replace')):,} bytes{where})"

    def _repr_html_(self) -> str:
        # A frame of an origin of its own: what is in the page can't reach the notebook.
        return (
            f'<iframe title="acdc view" srcdoc="{html.escape(self.html)}" sandbox="allow-scripts allow-downloads" '
            f'style="width: 100%; height: {_HEIGHT}px; border: 0"></iframe>'
        )

    def save(self, path: str | Path) -> View:
        """Write it into a file, over an earlier page but over nothing else.

        Returns:
            The same, with its path.

        Raises:
            RunFolderError: something else has that name, or the file can't be written.
        """
        path = Path(path)
        check_page(path)
        with atomic_write(path) as file:
            file.write(self.html)
        return View(self.html, path)

    def open(self) -> bool:
        """Open its file in the browser; where there is none, warn and say ``False``."""
        if self.path is None:
            raise RunFolderError("the page is in no file that a browser could open; save it first.")
        if not _has_window() or not webbrowser.open(self.path.resolve().as_uri()):
            warn(f"no browser was found here; open {self.path} in one.")
            return False
        return True


def check_page(path: Path, by: str = "") -> None:
    """Raise :class:`RunFolderError` unless a page may be written there: nothing stands there, or an earlier page.

    Args:
        path: of the page.
        by: how another one is chosen, as the end of a sentence.
    """
    kind = kind_at(path)
    if kind is None:
        if not path.parent.is_dir():
            raise RunFolderError(f"can't write {path}: there is no folder {path.parent}; choose another file{by}.")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise RunFolderError(f"can't write {path}: {path.parent} may not be written into; choose another file{by}.")
        return
    if kind != "a file" or not _is_page(path):
        raise RunFolderError(f"{path} is there already, and is no page of acdc's; choose another file{by}.")


def _is_page(path: Path) -> bool:
    try:
        with opened(path, follow=False) as file:
            return MARK.encode() in file.read(_LOOKED_AT)
    except OSError:
        return False


def _has_window() -> bool:
    """Whether there is a browser with a window; one in the terminal runs no script. BROWSER is a user's own word."""
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return False
    return type(found) is not webbrowser.GenericBrowser or "BROWSER" in os.environ
