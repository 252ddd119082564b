"""Intervals, nulls and tests: plain functions of arrays and data frames."""

from fer_bench.statistics.bootstrap import (
    bootstrap_draws,
    cluster_sums,
    delete_one,
    interval,
    jackknife_interval,
)
from fer_bench.statistics.comparison import (
    Comparison,
    compare,
    corrected_t_test,
    friedman,
    holm,
    nemenyi_critical_difference,
    wilcoxon_p,
)
from fer_bench.statistics.crossed import CrossedComparison, RunScore, compare_crossed
from fer_bench.statistics.permutation import Null, agreement_null, null_of, permutation_null
from fer_bench.statistics.summary import summarise

__all__ = [
    "Comparison",
    "CrossedComparison",
    "Null",
    "RunScore",
    "agreement_null",
    "bootstrap_draws",
    "cluster_sums",
    "compare",
    "compare_crossed",
    "corrected_t_test",
    "delete_one",
    "friedman",
    "holm",
    "interval",
    "jackknife_interval",
    "nemenyi_critical_difference",
    "null_of",
    "permutation_null",
    "summarise",
    "wilcoxon_p",
]
