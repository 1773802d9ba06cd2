"""What is wrong with a model's name, as far as that is known before torch is imported."""

from __future__ import annotations

import ast
import contextlib
import json
import os
from importlib.util import find_spec
from pathlib import Path

from acdc.errors import ModelError, UnknownNameError
from acdc.knownmodels.catalogue import folders, known_models
from acdc.planted import is_planted, planted
from acdc.reading import is_model


def check_name(name: str) -> None:
    """Raise :class:`ModelError` for what can't be the name of any model."""
    if not name:
        raise ModelError("the model's name is empty; give a bundled name, a hub name or a folder.")
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        raise ModelError(f"{name!r} can't be the name of a model: it is no text that a file's name can hold.") from None
    if "\0" in name:
        raise ModelError(f"{name!r} can't be the name of a model: it has a zero byte in it.")


def refuse_missing(name: str) -> None:
    """Raise an error for a name, of no folder or file of a model, that can't be one of the hub's either.

    Raises:
        UnknownNameError: there is no such model or checkpoint; names the nearest.
        ModelError: there is no such folder or file, or the model isn't here yet (says how to get it).
    """
    with contextlib.suppress(OSError, RuntimeError):  # ~ of no known user
        if Path(name).expanduser().is_file():
            raise ModelError(f"{name} is a file; give the folder that it lies in.")
    known, here = known_models(), folders()
    model, below, _ = name.partition("/")
    if below and any(model == other.partition("/")[0] for other in (*known, *here)):  # no owner on the hub
        raise UnknownNameError("model", name, {model, *(other for other in here if other.startswith(f"{model}/"))})
    if name.lower().endswith(".gguf"):
        raise ModelError(f"{name}: there is no such file.")
    if name.startswith((".", "~", os.sep)) or name.count("/") > 1:
        raise ModelError(f"{name}: there is no such folder.")
    if name in known and known[name].how:
        raise ModelError(f"{name} isn't here yet; get it by {known[name].how}.")


def check_model(model: str) -> None:
    """Check a model's name as it will be when it is opened, as far as can be known without torch.

    Raises:
        UnknownNameError: there is no such model; names the nearest.
        ModelError: there is no such folder or file, or it isn't here yet.
        SettingsError: parameters that make no planted model.
    """
    name = model.rstrip("/") or model
    check_name(name)
    if is_planted(name):
        planted(name)
        return
    with contextlib.suppress(OSError, RuntimeError):  # a name that the system doesn't take, or ~ of no known user
        if name in folders() or is_model(Path(name).expanduser()):
            return
    refuse_missing(name)
    short = short_names()
    if "/" not in name and short and name.lower() not in {other.lower() for other in short}:
        raise UnknownNameError("model", name, [*known_models(), *short])


def short_names() -> list[str]:
    """The names that TransformerLens has for the hub's models, read from its files, since importing it takes seconds.

    Empty where they aren't found there.
    """
    spec = find_spec("transformer_lens")
    if spec is None or spec.origin is None:
        return []
    root = Path(spec.origin).parent
    try:
        tree = ast.parse((root / "supported_models.py").read_text(encoding="utf-8"))
        (official,) = (
            ast.literal_eval(line.value)
            for line in tree.body
            if isinstance(line, ast.AnnAssign) and line.value and ast.unparse(line.target) == "OFFICIAL_MODEL_NAMES"
        )
        file = root / "tools" / "model_registry" / "data" / "model_aliases.json"
        aliases = json.loads(file.read_text(encoding="utf-8"))["aliases"]
        return [*official, *(alias for names in aliases.values() for alias in names)]
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, AttributeError):  # another version's
        return []
