"""How many threads compute and how they wait for one another; set before a library that has such threads is loaded.

By default a thread that has finished its part spins for milliseconds, in case more work comes. A forward pass of a
small model is well over a thousand short loops. Beside another busy process the threads then mostly spin, while the
thread that they wait for has no core.
"""

import os
from collections.abc import MutableMapping

# 1,000 turns of a spinning wait are some 10 to 50 microseconds, about what it costs to put a thread to sleep and to
# wake it. A thread that spins no longer than that loses at most as much again as the better of spinning and sleeping.
# Only GNU's runtime, which PyTorch's builds carry, reads the count. Others sleep at once, as OMP_WAIT_POLICY and
# KMP_BLOCKTIME (milliseconds; read by Intel's and LLVM's) say.
# NumPy's own matrices are small here (a user's outcomes, some features): its threads would spin more than they compute.
NUMPY = "OPENBLAS_NUM_THREADS"
WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}


def sleep_while_waiting(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let waiting threads of this process and its children sleep, and NumPy use one; not where the user says how."""
    environment.setdefault(NUMPY, "1")
    if not any(name in environment for name in WAITING):
        environment.update(WAITING)
