"""Settings of the whole suite, made before NumPy loads.

Test processes run side by side (`-n auto`), so each keeps to one BLAS thread: two threads of OpenBLAS on a core that
another process uses lose a factor of ten.
"""

from __future__ import annotations

import os
import tempfile

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# NumPy's values are the meaning of every op, and most tests compare to the bit. Tests of native code ask for it.
os.environ["GRAPHAD_EXECUTOR"] = os.environ.get("GRAPHAD_TEST_EXECUTOR", "reference")
# Code that tests compile must not come from, or fill, the user's own cache.
os.environ.setdefault("GRAPHAD_CACHE_DIR", tempfile.mkdtemp(prefix="graphad-test-cache-"))

import graphad.ops  # noqa: E402  # after the settings

# Families of ops load on first use; tests look ops up by name.
graphad.ops.load_all()
