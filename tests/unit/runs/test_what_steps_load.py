import subprocess
import sys

HEAVY = ("sklearn", "scipy.stats", "statsmodels", "pandas", "pyspark")
STEPS_THAT_FIT_NOTHING = ("landing.readiness", "runs.state", "runs.gating", "runs.promotion", "publishing", "warehouse")


def test_steps_that_fit_nothing_load_no_scikit_learn_no_pandas_and_no_spark() -> None:
    code = "".join(f"import segmentation_job.{room}\n" for room in ("cli", *STEPS_THAT_FIT_NOTHING))
    code += f"import sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.split() == []
