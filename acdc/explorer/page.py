"""One HTML file of a template, a style sheet, scripts and data.

The scripts are modules that import each other by name while they lie apart; in the page they stand one after the
other in one module, without those lines, so that the page runs from disk, where modules can't be fetched. A
browser refuses a name that is declared twice, so a clash can't go unseen.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

#: Every script after those that it imports.
SCRIPTS = (
    *("data.js", "state.js", "numbers.js", "plot.js", "chosen.js", "graph.js", "zoom.js", "light.js", "search.js"),
    *("slider.js", "film.js", "filters.js", "picture.js", "keys.js", "explorer.js"),
    *("tokens.js", "prompts.js", "pattern.js", "node.js", "evidence.js", "compare.js", "panel.js", "main.js"),
)
STYLES = ("style.css", "panels.css")
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|const|let|class)", re.MULTILINE)
#: What could end the element that holds the data, or a line of a script.
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def page(title: str, data: Mapping[str, Any]) -> str:
    """The page.

    Args:
        title: text; it is escaped.
        data: plain JSON without NaN; whatever its text holds stays text.
    """
    assets = files("acdc.explorer") / "assets"
    parts = {
        "title": html.escape(title),
        "style": "".join((assets / name).read_text("utf-8") for name in STYLES),
        "data": _escaped(data),
        "script": "".join(_plain((assets / name).read_text("utf-8")) for name in SCRIPTS),
    }
    template = (assets / "page.html").read_text("utf-8")
    return re.sub(r"<!-{2} (title|style|data|script) -{2}>", lambda found: parts[found[1]], template)


def _escaped(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = re.sub("[<>&\u2028\u2029]", lambda found: _ESCAPED[found[0]], text)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)  # halves of characters


def _plain(script: str) -> str:
    """A module as a part of a larger one."""
    return _EXPORT.sub("", _IMPORT.sub("", script))
