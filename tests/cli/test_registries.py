"""What is added to a registry is offered by every command, without a further change."""

import subprocess
import sys

_ADD = """
import acdc.engine.ablations, acdc.methods.registry, acdc.metrics, acdc.selection
from click.testing import CliRunner

acdc.metrics.METRICS["new-metric"] = acdc.metrics.METRICS["kl"]
acdc.engine.ablations.ABLATIONS["new-ablation"] = acdc.engine.ablations.Zero
acdc.methods.registry.METHODS["new-method"] = acdc.methods.EapIg
acdc.selection.RANKINGS = (*acdc.selection.RANKINGS, "new-ranking")
from acdc.cli.main import cli

for command in ("discover", "evaluate", "compare"):
    print(command, " ".join(CliRunner().invoke(cli, [command, "--help"]).output.replace("- ", "-").split()))
"""


def test_help_texts_read_the_registries():
    out = subprocess.run([sys.executable, "-c", _ADD], capture_output=True, text=True, check=True).stdout
    found = dict(line.split(" ", 1) for line in out.splitlines())
    wanted = {
        "discover": ("metric", "ablation", "method", "ranking"),
        "evaluate": ("metric", "ablation", "ranking"),
        "compare": ("ranking",),
    }
    missing = [
        (name, what)
        for name, all_ in wanted.items()
        for what in all_
        if f"or new-{what}" not in found[name].replace("- ", "-")
    ]
    assert not missing
