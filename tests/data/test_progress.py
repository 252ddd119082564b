import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.data import progress
from fer_bench.data.progress import in_parts, quietly


@given(
    rows=st.integers(0, 50),
    step=st.integers(1, 60),
    threads=st.one_of(st.none(), st.integers(1, 4)),
)
def test_every_row_is_worked_on_once(rows, step, threads):
    done = np.zeros(rows, int)

    def work(part):
        assert part.stop - part.start <= step
        done[part] += 1

    in_parts(work, rows, step, what="counting", threads=threads, progress=False)
    assert (done == 1).all()


def test_parts_are_worked_on_at_once():
    both = threading.Barrier(2, timeout=20)  # broken unless two parts meet here
    in_parts(lambda part: both.wait(), 2, 1, what="meeting", threads=2, progress=False)


def test_lines_say_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    in_parts(lambda part: None, 5, 2, what="counting", threads=2)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"counting: {n} of 5" for n in (2, 4, 5)]


def test_quietly_nothing_is_said_but_what_is_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with quietly():
        in_parts(lambda part: None, 5, 2, what="counting")
    assert capsys.readouterr().err == ""
    with quietly(quiet=False):
        in_parts(lambda part: None, 5, 2, what="counting")
    assert "counting" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["in a thread", "between two parts"])
def test_an_interrupt_does_not_wait_for_all_that_is_left(where, monkeypatch):
    begun = []

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    def work(part):
        begun.append(part.start)
        time.sleep(0.005)
        if where == "in a thread" and part.start == 3:
            interrupt()

    if where == "between two parts":
        monkeypatch.setattr(progress, "EVERY", 0.0)
        monkeypatch.setattr(progress, "print", interrupt, raising=False)
    with pytest.raises(KeyboardInterrupt):
        in_parts(work, 400, 1, what="counting", threads=1)
    assert len(begun) < 400
