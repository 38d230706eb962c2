"""Settings of the whole suite, made before NumPy loads.

Test processes run side by side (`-n auto`), so each keeps to one BLAS thread: two threads of OpenBLAS on a core that
another process uses lose a factor of ten.
"""

from __future__ import annotations

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
