"""Where something stands in a template file, and values there that must be of a kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from acdc.errors import PromptError, UnknownNameError
from acdc.wording import quoted, shortened

_MOST_SHOWN = 60  # characters of a wrong value, or of a key
_KINDS: Mapping[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    list: "a list",
    dict: "a table of keys",
}


@dataclass(frozen=True)
class Place:
    """A key of a template file.

    Attributes:
        file: the file's path.
        key: with dots, ``slots.country.words``; empty for the file itself.
    """

    file: str
    key: str = ""

    def at(self, key: str | int) -> Place:
        """A key below; of a list the number of an entry, from 1."""
        if isinstance(key, int):
            return Place(self.file, f"{self.key}, entry {key}")
        name = shortened(key, _MOST_SHOWN)
        return Place(self.file, f"{self.key}.{name}" if self.key else name)

    def __str__(self) -> str:
        return f"{self.file}, {self.key}" if self.key else self.file

    def error(self, says: str) -> PromptError:
        """An error at this place; `says` is the rest of its sentence."""
        return PromptError(f"{self}: {says}")

    def unknown(self, kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
        """The error for a name that isn't known at this place."""
        return UnknownNameError(kind, name, known, f"{self}: ")

    def wrong(self, wanted: str, value: Any) -> PromptError:
        """The error for a value of another kind."""
        return self.error(f"it must be {wanted}, not {quoted(value, _MOST_SHOWN)}.")

    def a(self, kind: type, value: Any) -> Any:
        """Hand a value through that is of `kind`. Raises :class:`PromptError`."""
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(_KINDS[kind], value)
        return value

    def text(self, value: Any) -> str:
        """Text that isn't empty. Raises :class:`PromptError`."""
        if not self.a(str, value):
            raise self.error("it is empty; write text, or leave it out.")
        return str(value)

    def texts(self, value: Any) -> tuple[str, ...]:
        """A text or a list of such that isn't empty. Raises :class:`PromptError`."""
        if isinstance(value, str):
            return (self.text(value),)
        if not isinstance(value, list) or not value:
            raise self.wrong("text, or a list of such", value)
        return tuple(self.at(number).text(entry) for number, entry in enumerate(value, start=1))

    def table(self, value: Any, known: Iterable[str] | None = None, must: Iterable[str] = ()) -> dict[str, Any]:
        """A table of keys.

        Raises:
            PromptError: it is none, or lacks a key of `must`.
            UnknownNameError: a key is none of `known`.
        """
        table: dict[str, Any] = self.a(dict, value)
        if known is not None:
            allowed = tuple(known)
            for key in table:
                if key not in allowed:
                    raise self.unknown("key", key, allowed)
        for key in must:
            if key not in table:
                raise self.error(f"it lacks {key!r}; give it.")
        return table
