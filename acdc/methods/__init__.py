"""Discovery methods, one file each.

>>> from acdc.methods import EapIg, find_method
>>> find_method("acdc", threshold=0.02)
Acdc(threshold=0.02, order='default', gates=False, seed=0, passes=1, budget=0)
>>> EapIg(steps=10).options
{'steps': 10, 'rule': 'left', 'tolerance': 0.0}
"""

from acdc.methods.acdc import Acdc as Acdc
from acdc.methods.base import Cost as Cost
from acdc.methods.base import Found as Found
from acdc.methods.base import Log as Log
from acdc.methods.base import Method as Method
from acdc.methods.conductance import Conductance as Conductance
from acdc.methods.eap import CleanCorrupted as CleanCorrupted
from acdc.methods.eap import Eap as Eap
from acdc.methods.eap_ig import EapIg as EapIg
from acdc.methods.eap_ig_activations import EapIgActivations as EapIgActivations
from acdc.methods.edge_pruning import EdgePruning as EdgePruning
from acdc.methods.gim import Gim as Gim
from acdc.methods.hisp import Hisp as Hisp
from acdc.methods.hybrid import Hybrid as Hybrid
from acdc.methods.ifr import Ifr as Ifr
from acdc.methods.patching import Patching as Patching
from acdc.methods.random import Random as Random
from acdc.methods.registry import METHODS as METHODS
from acdc.methods.registry import find_method as find_method
from acdc.methods.relp import RelP as RelP
from acdc.methods.sp import Sp as Sp
from acdc.methods.ugs import Ugs as Ugs
