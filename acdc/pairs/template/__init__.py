"""Tasks written as data: templates with slots, word lists, what is answered, and corruptions.

A TOML file says what a task is; README, "Your own task", has its words. Reading it gives a
:class:`acdc.pairs.template.spec.Spec`, checked as a whole, and :class:`TemplateTask` draws prompts of it for
any tokenizer.
"""

from acdc.pairs.template.task import SUFFIX, TemplateTask

__all__ = ["SUFFIX", "TemplateTask"]
