"""What a notebook shows of an object, beside its plain text."""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar


class Displayed:
    """Gives an object the form that notebooks show (Jupyter's ``_repr_html_``).

    Forms stand in :mod:`acdc.notebook`, above the data that they show: a diagram is drawn of a circuit, and a circuit
    knows of no diagram. So a class names its form, and it is imported when a notebook asks for it.
    """

    #: ``module:function`` of :mod:`acdc.notebook`; the function takes the object, and gives HTML.
    _form: ClassVar[str]

    def _repr_html_(self) -> str | None:
        """HTML in which all text is escaped; ``None``, for which notebooks show the plain text, where it fails.

        Whoever wants to see an object gets to see it, whatever is wrong with it.
        """
        module, function = self._form.split(":")
        try:
            found: str = getattr(import_module(f"acdc.notebook.{module}"), function)(self)
        except Exception:
            return None
        return found
