"""What a run does not wait for."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import fer_bench.sweep.sweep, fer_bench.training.session, fer_bench.baselines.erm.adapter
unused = {"torchmetrics", "matplotlib", "seaborn", "timm", "torchvision", "umap", "numba",
          "openTSNE", "sklearn", "bokeh", "statsmodels", "scipy.stats", "onnxruntime"}
assert not unused & set(sys.modules), unused & set(sys.modules)
import torchmetrics  # can be had afterwards
torchmetrics.Accuracy
"""


def test_a_run_imports_only_what_its_first_step_needs():
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
