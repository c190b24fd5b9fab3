"""What devices there are, what this machine is, and whether the one fits what a package asks for.

Quick to import, since the agent on a device stands on it: no NumPy, and target files are read when they are asked for.
"""

from __future__ import annotations

from edgert.targets.definition import HOST as HOST
from edgert.targets.definition import TRANSPORTS as TRANSPORTS
from edgert.targets.definition import Target as Target
from edgert.targets.definition import target as target
from edgert.targets.definition import targets as targets
from edgert.targets.fit import Requirement as Requirement
from edgert.targets.fit import fits as fits
from edgert.targets.fit import fits_any as fits_any
from edgert.targets.machine import Probe as Probe
from edgert.targets.machine import probe as probe
