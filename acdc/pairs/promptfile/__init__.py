"""Prompt pairs from a file of the user's own, as a task.

JSONL, each pair one line (broken here to fit)::

    {"clean": "Ann met Bob. Bob thanked", "corrupted": "Ann met Bob. Ann thanked",
     "answer": " Ann", "wrong_answer": " Bob"}

with token ids in place of text (``clean_tokens``, ``corrupted_tokens``, ``answer_token``,
``wrong_answer_token``) where a model has no tokenizer, and ``answer_position`` where it
isn't the last token. Several right answers are a list. With several answer positions
(a list), an answer field is a list of one entry a position, each an answer or a list
of them. Answers may be left out.

JSON: a list of such objects, or AutoCircuit's (arXiv 2407.08734) object with such a list as
``prompts``; ``corrupt``, ``answers`` and ``wrong_answers`` (text or token ids) are read as it writes them.

CSV (or TSV, with tabs): the same names as columns, a list written as in JSON (``"[1, 2]"``); and
EAP-IG's (arXiv 2403.17806) ``correct_idx`` and ``incorrect_idx``, token ids where both are there.

Other answers are read by the name of their field or column (`answers`, `wrong_answers`): as token
ids if it ends in ``_idx``, ``_id`` or ``_token`` and holds whole numbers, and as text otherwise.
``split`` (``train``, ``test``) and ``group`` say what may be held out, see :mod:`acdc.pairs.splitting`. All
other fields are kept as the pair's tags; a slip of a known name is an error. Edge-Pruning's
``<predict>...</predict>`` (arXiv 2406.16778) at the end of a prompt is its answer.
"""

from acdc.pairs.promptfile.task import SUFFIXES, FileTask

__all__ = ["SUFFIXES", "FileTask"]
