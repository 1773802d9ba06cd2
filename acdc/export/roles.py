"""What the nodes of a circuit do, where its file says so: reference circuits have roles."""

from __future__ import annotations

from collections.abc import Mapping

from acdc.circuit import Circuit
from acdc.export.summary import printable
from acdc.wording import shortened

_LONGEST = 40  # characters of a role's name


def roles_of(circuit: Circuit) -> dict[str, list[str]]:
    """Names of a circuit's nodes by their role, as its file says them (``found.roles``); a node has the first it's in.

    A file may be anybody's: what isn't a role with names of the graph's nodes is left out.
    """
    given = circuit.found.further.get("roles")
    if not isinstance(given, Mapping):
        return {}
    left = {node.name for node in circuit.graph.nodes}
    roles: dict[str, list[str]] = {}
    for role, names in given.items():
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str) and name in left:
                left.remove(name)
                roles.setdefault(shortened(printable(role), _LONGEST), []).append(name)
    return roles
