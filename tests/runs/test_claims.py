"""One process at a time, on whatever machine, whoever dies."""

import json
import os
import subprocess
import sys
import threading

import psutil
import pytest

from fer_bench.runs import claims
from fer_bench.runs.claims import STALE_S, Claim, is_claimed


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run.claims"


def leave(folder, **owner):
    """A claim of somebody else."""
    folder.mkdir(exist_ok=True)
    path = folder / "1"
    path.write_text(json.dumps(claims._owner() | owner))
    return path


def age(path, seconds):
    now = path.stat().st_mtime
    os.utime(path, (now - seconds, now - seconds))


def test_of_many_at_once_one_has_it(folder):
    """Again and again: whoever steps back leaves it to others, and leaves nothing behind."""
    at_work, most, done, held, together = 0, 0, [], [], threading.Barrier(8)

    def work(i):
        nonlocal at_work, most
        together.wait()
        while done.count(i) < 10:
            mine = Claim(folder)
            if mine.acquire():
                at_work += 1
                most = max(most, at_work)
                held.append(mine.holds())
                done.append(i)
                at_work -= 1
                mine.release()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert all(held)
    assert sorted(done) == sorted(10 * list(range(8)))
    assert not folder.exists()


def test_a_killed_process_has_no_claim(folder):
    code = (
        "import sys, os, pathlib; from fer_bench.runs.claims import Claim;"
        "assert Claim(pathlib.Path(sys.argv[1])).acquire(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert [entry.name for entry in folder.iterdir()] == ["1"]
    assert not is_claimed(folder)
    mine = Claim(folder)
    assert mine.acquire()
    assert is_claimed(folder)
    mine.release()
    assert not folder.exists()


def test_another_process_of_the_same_number_has_no_claim(folder):
    leave(folder, started=psutil.Process().create_time() - 100)
    assert not is_claimed(folder)


def test_a_claim_of_another_machine_lives_while_it_is_touched(folder):
    path = leave(folder, machine="another", pid=1)
    assert is_claimed(folder)
    assert not Claim(folder).acquire()
    age(path, STALE_S + 1)
    assert not is_claimed(folder)
    assert Claim(folder).acquire()


def test_the_owner_touches_it(folder, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_S", 0.01)
    mine = Claim(folder)
    assert mine.acquire()
    touched = threading.Event()
    honest = os.utime
    monkeypatch.setattr(os, "utime", lambda path: (honest(path), touched.set()))
    assert touched.wait(10)
    mine.release()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"machine": 5}'])
def test_a_damaged_claim_lives_as_long_as_one_of_another_machine(folder, content):
    path = leave(folder)
    path.write_text(content)
    assert is_claimed(folder)
    age(path, STALE_S + 1)
    assert not is_claimed(folder)


def test_who_was_believed_dead_notices(folder):
    slow, fast = Claim(folder), Claim(folder)
    assert slow.acquire()
    (folder / "1").write_text(json.dumps(claims._owner() | {"machine": "another"}))
    age(folder / "1", STALE_S + 1)
    assert fast.acquire()
    assert not slow.holds()
    slow.release()
    assert fast.holds()
    fast.release()
    assert not slow.holds()


def test_a_file_system_without_links(folder, monkeypatch):
    def refuse(source, target):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    mine = Claim(folder)
    assert mine.acquire()
    assert not Claim(folder).acquire()
    mine.release()
    assert not folder.exists()


def test_a_full_disk_leaves_no_claim(folder, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        patch.setattr(claims.Path, "open", refuse)
        with pytest.raises(OSError, match="No space"):
            Claim(folder).acquire()
    assert not is_claimed(folder)
