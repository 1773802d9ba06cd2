"""The word lists of the bundled tasks, as they stand in their files."""

from acdc.tasks import templates

from acdc.pairs.template.toml import read_toml

_NAMES = read_toml(templates.FOLDER / "words" / "names.toml")
FEMALE, MALE = (tuple(_NAMES[gender]["words"].split()) for gender in ("female", "male"))


def words_of(name):
    """All words that a template task is written with, of letters only."""
    lines = " ".join(getattr(templates, name).texts)
    return {word for word in lines.replace(",", " ").replace(".", " ").split() if word.isalpha()}
