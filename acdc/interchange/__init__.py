"""Circuits of others: files of every kind opened as circuits, and scores by which others can rank our edges.

Writing for others is a format of :mod:`acdc.export`.
"""

from acdc.interchange.mib import read_submission
from acdc.interchange.network import from_networkx
from acdc.interchange.opening import open_circuit
from acdc.interchange.ranking import ranking

__all__ = ["from_networkx", "open_circuit", "ranking", "read_submission"]
