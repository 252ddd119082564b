import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from fer_bench.data import capture, load_dataset
from fer_bench.data.capture import (
    KEYS,
    Recorder,
    camera_frames,
    central_square,
    parsed_keys,
    record,
)
from fer_bench.data.labels import canonical
from fer_bench.errors import DataError


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """40 frames of 320x240; frame i has the gray level 5 * i in the middle, black borders."""
    cv2 = pytest.importorskip("cv2")
    file = tmp_path_factory.mktemp("video") / "camera.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 25, (320, 240))
    for i in range(40):
        frame = np.zeros((240, 320, 3), np.uint8)
        frame[20:220, 60:260] = (5 * i, 5 * i, 0)  # blue-green: channels must not be swapped
        writer.write(frame)
    writer.release()
    return file


class Script:
    """Presses given keys, one a frame, and remembers what was shown."""

    def __init__(self, keys):
        self.keys = iter(keys)
        self.shown = []

    def __call__(self, frame):
        self.shown.append(frame)
        return next(self.keys, "")


def test_faces_are_stored_under_their_keys(video, tmp_path):
    recorder = Recorder(tmp_path, "anna", side=200)
    view = Script([" ", "n", "h", "", "H", "x", "a"])
    counts = record(recorder, camera_frames(video), view)
    assert counts == {"neutral": 1, "happiness": 2, "anger": 1}
    faces = load_dataset("manifest", tmp_path, size=48)
    assert faces.subjects == ("anna",)
    assert sorted(faces.classes) == ["anger", "happiness", "neutral"]
    assert load_dataset("folder", tmp_path, size=48).subjects == ("anna",)
    # Each picture is the central square of the frame at which its key was pressed.
    level = faces.gather(np.arange(4)).mean((1, 2))
    np.testing.assert_allclose(level[:, 2], [5, 10, 20, 30], atol=4)
    assert level[:, 0].max() < 6
    assert Image.open(tmp_path / faces.table["path"][0]).size == (200, 200)
    assert len(view.shown) == 40


def test_undo_and_quit(video, tmp_path):
    recorder = Recorder(tmp_path, "anna", side=200)
    view = Script(["z", "n", "h", "z", "s", "q", "n"])
    counts = record(recorder, camera_frames(video), view)
    assert counts == {"neutral": 1, "sadness": 1}
    assert len(view.shown) == 6
    assert sorted(p.parts[-3] for p in tmp_path.rglob("*.png")) == ["neutral", "sadness"]
    again = Recorder(tmp_path, "anna", side=200)
    assert again.counts() == {"neutral": 1, "sadness": 1}
    assert again.undo() is None  # pictures of an earlier recording are safe
    record(again, camera_frames(video), Script(["n"]))
    assert Recorder(tmp_path, "bert").counts() == {}
    assert len(load_dataset("manifest", tmp_path, size=16)) == 3


def test_what_is_shown_is_mirrored_but_what_is_stored_is_not(tmp_path):
    frame = np.zeros((200, 200, 3), np.uint8)
    frame[:, :100] = 255
    view = Script(["n"])
    record(Recorder(tmp_path, "a", side=200), iter([frame]), view)
    assert view.shown[0][200, 300].mean() > 200
    assert view.shown[0][200, 100].mean() < 50
    stored = np.asarray(Image.open(next(tmp_path.rglob("*.png"))))
    np.testing.assert_array_equal(stored, frame)


def test_the_keys_of_the_webcam_report():
    """Its key_map, word for word."""
    report = {"n": "Neutral", "a": "Angry", "h": "Happy", "d": "Disgust", "s": "Sad",
              "p": "Surprise", "f": "Fear"}  # fmt: skip
    assert {key: KEYS[key] for key in report} == {k: canonical(v) for k, v in report.items()}


def test_any_map_of_keys(video, tmp_path):
    keys = parsed_keys("1=neutral 2=happy,c=contempt")
    assert keys == {"1": "neutral", "2": "happiness", "c": "contempt"}
    recorder = Recorder(tmp_path, "anna", side=200)
    counts = record(recorder, camera_frames(video), Script(["n", "1", "2", "C"]), keys=keys)
    assert counts == {"neutral": 1, "happiness": 1, "contempt": 1}


@pytest.mark.parametrize("key", ["x", " ", "\t"])
def test_a_key_that_stores_nothing_is_said(tmp_path, monkeypatch, key):
    said = []
    monkeypatch.setattr(
        capture, "annotated", lambda face, recorder, keys, message: said.append(message) or face
    )
    frames = iter([np.zeros((200, 200, 3), np.uint8)] * 2)
    record(Recorder(tmp_path, "a", side=200), frames, Script([key]))
    assert "stores nothing" in said[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n", "write KEY=EXPRESSION"),
        ("nn=neutral", "write KEY=EXPRESSION"),
        ("", "names no key"),
        ("q=neutral", "takes a picture back or stops"),
        ("n=neutral,N=fear", "given twice"),
        ("n=neutrall", "did you mean 'neutral'"),
    ],
)
def test_maps_that_cannot_be_are_said(text, words):
    with pytest.raises(DataError, match=words):
        parsed_keys(text)


def test_consent_is_recorded(tmp_path):
    Recorder(tmp_path, "anna").consent("the text")
    line = json.loads((tmp_path / "consent.jsonl").read_text())
    assert (line["subject"], line["text"]) == ("anna", "the text")


def test_expected_failures_are_clear(tmp_path, video):
    with pytest.raises(DataError, match="320x240 pixels, too few for a square of 250"):
        central_square(np.zeros((240, 320, 3), np.uint8), 250)
    with pytest.raises(DataError, match="gives no picture"):
        next(camera_frames(tmp_path / "absent.avi"))
    for name in ("", "  ", "../up", "a/b", ".hidden"):
        with pytest.raises(DataError, match="cannot name a folder"):
            Recorder(tmp_path, name)
    (tmp_path / "manifest.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="was not written by a recording"):
        Recorder(tmp_path, "anna")
    assert len(set(KEYS.values())) == 7


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("Xvfb"), reason="needs Xvfb")
def test_the_command_under_a_virtual_display(video, tmp_path):
    """The real window, with keys that reach it through the display."""
    pytest.importorskip("Xlib", reason="needs python-xlib to press keys")
    display = ":" + str(100 + os.getpid() % 400)
    server = subprocess.Popen(["Xvfb", display, "-screen", "0", "1024x768x24"],
                              stderr=subprocess.DEVNULL)  # fmt: skip
    environment = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
    program = (
        "import sys; from pathlib import Path; from fer_bench.data import capture as c\n"
        "import itertools\n"
        "frames = itertools.chain.from_iterable(c.camera_frames(sys.argv[1]) for _ in range(500))\n"
        "window = c.Window(wait=30)\n"
        "print(c.record(c.Recorder(Path(sys.argv[2]), 'anna', side=200), frames, window))\n"
    )
    try:
        time.sleep(1.5)
        command = [sys.executable, "-c", program, str(video), str(tmp_path)]
        process = subprocess.Popen(command, env=environment)
        from Xlib import XK, X
        from Xlib import display as xdisplay
        from Xlib.ext import xtest

        screen = xdisplay.Display(display)
        for _ in range(100):
            time.sleep(0.2)
            if screen.screen().root.query_tree().children:
                break
        time.sleep(1.5)
        screen.screen().root.warp_pointer(200, 200)
        for key in "nhhzq":
            code = screen.keysym_to_keycode(XK.string_to_keysym(key))
            for event in (X.KeyPress, X.KeyRelease):
                xtest.fake_input(screen, event, code)
                screen.sync()
            time.sleep(0.5)
        assert process.wait(timeout=20) == 0
    finally:
        server.terminate()
        server.wait()
    assert Recorder(tmp_path, "anna").counts() == {"neutral": 1, "happiness": 1}
