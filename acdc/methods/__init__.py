"""Discovery methods, one file each.

>>> from acdc.methods import EapIg, find_method
>>> find_method("acdc", threshold=0.02)
Acdc(threshold=0.02, order='default', gates=False, seed=0)
>>> EapIg(steps=10).options
{'steps': 10}
"""

from acdc.methods.acdc import Acdc as Acdc
from acdc.methods.base import Cost as Cost
from acdc.methods.base import Found as Found
from acdc.methods.base import Log as Log
from acdc.methods.base import Method as Method
from acdc.methods.eap_ig import EapIg as EapIg
from acdc.methods.edge_pruning import EdgePruning as EdgePruning
from acdc.methods.registry import METHODS as METHODS
from acdc.methods.registry import find_method as find_method
from acdc.methods.sp import Sp as Sp
from acdc.methods.ugs import Ugs as Ugs
