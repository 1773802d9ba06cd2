"""When two runs are the same."""

import pytest


def same_decisions(some, others):
    """The same edges kept in the same order, numbers within the float noise of float32."""
    return [(d.edge, d.kept) for d in some] == [(d.edge, d.kept) for d in others] and all(
        (a.before, a.after) == pytest.approx((b.before, b.after), abs=1e-5) for a, b in zip(some, others, strict=True)
    )


def same(run, other):
    """Whether two runs decided alike and found the same circuit."""
    return (
        same_decisions(run.decisions, other.decisions)
        and (run.circuit.in_graph == other.circuit.in_graph).all()
        and run.circuit.scores == pytest.approx(other.circuit.scores, abs=1e-5)
        and run.circuit.found.metric_circuit == pytest.approx(other.circuit.found.metric_circuit, abs=1e-5)
    )
