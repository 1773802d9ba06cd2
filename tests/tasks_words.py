"""A tokenizer that spells every word of the tasks' files, and what those files say."""

import re
from pathlib import Path

import acdc.tasks
import made_tokenizers

from acdc.pairs.template.toml import read_toml

FOLDER = Path(acdc.tasks.__file__).parent
_WORD = re.compile(r"[^\W\d_]+")


def llama_like():
    """SentencePiece's way: every word one token with its space, every digit for itself, a BOS before every text."""
    files = [*FOLDER.glob("*.toml"), *FOLDER.glob("words/*.toml")]
    lines = [line for file in files for line in file.read_text().splitlines() if not line.startswith(("#", "needs"))]
    return made_tokenizers.llama2(words=sorted({word for line in lines for word in _WORD.findall(line)}))


def templates(name):
    """The texts of a task's templates."""
    given = read_toml(FOLDER / f"{name}.toml")["templates"]
    texts = [entry if isinstance(entry, str) else entry["text"] for entry in given]
    return [text for entry in texts for text in (entry if isinstance(entry, list) else [entry])]
