"""How many test faces the calibration takes: nested people, and a term that needs more than one."""

import numpy as np

from fer_bench.metrics.mig_sizes import (
    SHARES,
    Passed,
    _with_people,
    calibration_by_size,
    faces_needed,
)


def test_a_term_passes_where_the_rows_suffice(planted):
    """One column of planted expression is read from some hundred faces, and not from fifty."""
    part = planted.part("test", subjects=32, images=14, dims=1, e_expression=1.0, seed=1)
    told: list[str] = []
    sizes = calibration_by_size([part], say=told.append)
    assert [size.faces for size in sizes] == [56, 112, 224, 448]
    assert [size.runs for size in sizes] == [1] * len(SHARES)
    assert sizes[-1].terms == {"shared": 1, "leaked": 1}
    assert sum(sizes[0].terms.values()) < 2
    assert told[0] == "56 test faces, run 1 of 1"


def test_people_stay_whole_and_smaller_sizes_are_part_of_larger_ones(planted):
    part = planted.part("test", subjects=16, images=14)
    few, more = (_with_people(part, share, 3) for share in (0.25, 0.5))
    assert len(few.subjects) == 4
    assert set(few.subjects) < set(more.subjects) < set(part.subjects)
    assert len(few) == 56
    assert (few.expression == part.expression[part.labels["subject"].isin(few.subjects)]).all()


def test_what_is_needed_is_the_size_from_which_on_all_passed():
    def of(*passed):
        return [Passed(100 * 2**i, 2, {"shared": n, "leaked": 0}) for i, n in enumerate(passed)]

    assert faces_needed(of(0, 2, 2, 2), "shared") == 200
    assert faces_needed(of(2, 2, 1, 2), "shared") == 800
    assert faces_needed(of(2, 2, 2, 1), "shared") is None


def test_faces_are_those_that_were_tried_and_no_size_comes_twice(planted):
    """An eighth and a quarter of eight people are two, the fewest."""
    sizes = calibration_by_size([planted.part("test", subjects=8, images=7, dims=1)])
    assert [size.faces for size in sizes] == [14, 28, 56]


def test_a_term_that_was_not_calibrated_has_not_passed(planted):
    part = planted.part("test", subjects=8, images=7, dims=1)
    constant = planted.replaced(part, identity=np.zeros_like(part.identity))
    assert calibration_by_size([constant])[-1].terms["leaked"] == 0
