"""Discovery methods, one file each.

>>> from acdc.methods import EapIg, find_method
>>> find_method("acdc", threshold=0.02)
Acdc(threshold=0.02, order='default', gates=False, seed=0, passes=1, budget=0)
>>> EapIg(steps=10).options
{'steps': 10}
"""

from acdc.methods.acdc import Acdc as Acdc
from acdc.methods.base import Cost as Cost
from acdc.methods.base import Found as Found
from acdc.methods.base import Log as Log
from acdc.methods.base import Method as Method
from acdc.methods.eap_ig import EapIg as EapIg
from acdc.methods.hybrid import Hybrid as Hybrid
from acdc.methods.patching import Patching as Patching
from acdc.methods.random import Random as Random
from acdc.methods.registry import METHODS as METHODS
from acdc.methods.registry import find_method as find_method
