"""What the options of `fer-bench` itself decide for all commands."""

verbose = False
"""Whether an expected failure is shown with its traceback: `fer-bench --verbose`."""
