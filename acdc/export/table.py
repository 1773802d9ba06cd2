"""A circuit as one HTML page with a row an edge, without scripts or links to anywhere."""

from __future__ import annotations

import html

from acdc.export.excerpt import Excerpt

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: Helvetica, Arial, sans-serif; margin: 2em; color: #222; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: 0.2em 0.8em; border-bottom: 1px solid #ddd; text-align: left; }}
td:last-child, th:last-child {{ text-align: right; font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{facts}</p>
<table>
<thead><tr><th>Source</th><th>Target</th><th>Slot</th><th>Score</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""


def to_html_table(excerpt: Excerpt) -> str:
    """The edges shown, strongest first; "Slot" is q, k or v where the target is a head."""
    rows = "\n".join(
        f"<tr><td>{edge.source.name}</td><td>{edge.slot.node.name}</td><td>{edge.slot.letter or ''}</td>"
        f"<td>{excerpt.circuit.scores[edge.number]:.6g}</td></tr>"
        for edge in excerpt.edges()
    )
    return _PAGE.format(
        title=html.escape(excerpt.heading()),
        facts=html.escape(" \N{MIDDLE DOT} ".join(excerpt.facts())),
        rows=rows or '<tr><td colspan="4">No edge was kept.</td></tr>',
    )
