"""Golden runs: inputs and the outputs that belong to them, by which a device finds out whether a model computes there
what it computed where it was pushed from.

    runs = make("digits.ert", 2)                   # on the host; they go into the signed manifest
    check_apart("digits.ert", runs)                # on the device, in a process of its own that may crash or hang

A run's inputs are made of a seed (edgert.golden.inputs), or are a pair that the package brings. Outputs are compared as
they deserve (edgert.golden.trust): integers, and floats that are exact everywhere, by their SHA-256; other floats by
some of their values, with a tolerance.
"""

from edgert.golden.apart import Checked as Checked
from edgert.golden.apart import check_apart as check_apart
from edgert.golden.check import CheckError as CheckError
from edgert.golden.check import check as check
from edgert.golden.make import make as make
from edgert.golden.make import record as record
