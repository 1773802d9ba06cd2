"""Comparing circuits of one graph: what they share, how alike they rank edges, how far they agree with a reference.

Nothing here imports torch.
"""

from acdc.comparison.areas import LogAreas as LogAreas
from acdc.comparison.areas import MibAreas as MibAreas
from acdc.comparison.areas import log_areas as log_areas
from acdc.comparison.areas import mib_areas as mib_areas
from acdc.comparison.areas import mib_sizes as mib_sizes
from acdc.comparison.comparison import Comparison as Comparison
from acdc.comparison.comparison import compare as compare
from acdc.comparison.correlation import Correlation as Correlation
from acdc.comparison.overlap import Overlap as Overlap
from acdc.comparison.overlap import Pair as Pair
from acdc.comparison.roc import Agreement as Agreement
from acdc.comparison.roc import agreement as agreement
from acdc.comparison.roc import check_reference as check_reference
from acdc.comparison.roc import mib_area as mib_area
from acdc.comparison.roc import mib_points as mib_points
from acdc.comparison.roc import ranking as ranking
from acdc.comparison.roc import staircase as staircase
from acdc.comparison.roc import step_area as step_area
