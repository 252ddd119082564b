"""Miniature trees in the exact layout in which each restricted set is released."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fer_bench.data import FaceData, load_dataset


class Trees:
    """Builds one small tree a method; returns its root."""

    def __init__(self, pictures) -> None:
        self.pictures = pictures
        self.root: Path = pictures.root

    def save(self, path: str, **options) -> Path:
        return self.pictures.save(path, **options)

    def text(self, path: str, content: str, **options) -> Path:
        return self.pictures.text(path, content, **options)

    def load(self, name: str, **options) -> FaceData:
        return load_dataset(name, self.root, **{"size": 24, **options})

    def remove(self, path: str) -> None:
        target = self.root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    # ---------------------------------------------------------------- stills

    def raf_db(self) -> None:
        lines = []
        for i, code in enumerate([1, 2, 3, 4, 5, 6, 7], start=1):
            name = f"train_{i:05d}" if i < 6 else f"test_{i:04d}"
            lines.append(f"{name}.jpg {code}")
            self.save(f"basic/Image/aligned/{name}_aligned.jpg", size=(100, 100))
            self.save(f"basic/Image/original/{name}.jpg", size=(160, 120))
            landmarks = "".join(f"{10.5 * k}\t{20.25 * k}\n" for k in range(1, 6))
            self.text(
                f"basic/Annotation/manual/{name}_manu_attri.txt",
                f"{landmarks}{i % 3}\n{i % 3}\n{i % 5}\n",
            )
        self.text("basic/EmoLabel/list_patition_label.txt", "\n".join(lines) + "\n")

    def raf_db_folders(self) -> None:
        for code in range(1, 8):
            self.save(f"DATASET/train/{code}/train_{code:05d}_aligned.jpg")
            self.save(f"DATASET/test/{code}/test_{code:04d}_aligned.jpg")

    def affectnet(self, *, header: bool = True) -> None:
        columns = (
            "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,"
            "expression,valence,arousal\n"
        )
        for part, codes in (("training", range(11)), ("validation", [0, 7])):
            lines = columns if header else ""
            for code in codes:
                path = f"{code}/{part}{code}.jpg"
                self.save(f"Manually_Annotated_Images/{path}", size=(60, 60))
                va = "-2,-2" if code > 7 else f"{code / 10},-0.5"
                lines += f"{path},10,12,40,40,1.0;2.0;3.0;4.0,{code},{va}\n"
            self.text(f"Manually_Annotated_file_lists/{part}.csv", lines)

    def affectnet8(self) -> None:
        for part, count in (("train_set", 8), ("val_set", 2)):
            for n in range(count):
                self.save(f"{part}/images/{n}.jpg")
                folder = self.root / part / "annotations"
                folder.mkdir(parents=True, exist_ok=True)
                np.save(folder / f"{n}_exp.npy", np.array(str(n)))
                np.save(folder / f"{n}_val.npy", np.array(f"{n / 10}"))
                np.save(folder / f"{n}_aro.npy", np.array("-0.25"))
                np.save(folder / f"{n}_lnd.npy", np.zeros(136))

    def ck_plus(self) -> None:
        """Two labelled sequences, one without a label, an empty label folder, a dot-file."""
        for subject, sequence, frames, code in (
            ("S005", "001", 11, 3),
            ("S010", "002", 5, 7),
            ("S010", "003", 4, None),
        ):
            for frame in range(1, frames + 1):
                name = f"{subject}_{sequence}_{frame:08d}"
                self.save(f"cohn-kanade-images/{subject}/{sequence}/{name}.png")
            labels = f"Emotion/{subject}/{sequence}"
            (self.root / labels).mkdir(parents=True)
            if code is not None:
                name = f"{subject}_{sequence}_{frames:08d}_emotion.txt"
                self.text(f"{labels}/{name}", f"   {code:.7e}\n")
        self.text("cohn-kanade-images/S005/001/.DS_Store", "x")
        self.text("cohn-kanade-images/S005/.DS_Store", "x")

    def ck48(self) -> None:
        for i, name in enumerate(
            ["anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"]
        ):
            for frame in (15, 16, 17):
                self.save(f"CK+48/{name}/S{i % 3:03d}_{i:03d}_{frame:08d}.png", size=(48, 48))

    def oulu_casia(self) -> None:
        for camera, light in (("VL", "Strong"), ("VL", "Dark"), ("NI", "Strong")):
            for person in ("P001", "P002"):
                for name in ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"):
                    name = name.lower() if person == "P002" else name
                    for frame in (0, 1, 2, 9, 10):  # not zero-padded alike: sorted by number
                        base = f"Oulu_CASIA_NIR_VIS/{camera}/{light}/{person}/{name}"
                        self.save(f"{base}/{frame:0{3 if person == 'P001' else 1}d}.jpeg")

    def jaffe(self) -> None:
        for person in ("KA", "NA"):
            for i, code in enumerate(["AN", "DI", "FE", "HA", "NE", "SA", "SU"]):
                self.save(f"{person}.{code}1.{i + 39}.tiff")

    def kdef(self) -> None:
        for person in ("AF01", "BF01", "AM01"):
            for code in ("AF", "AN", "DI", "HA", "NE", "SA", "SU"):
                for angle in ("S", "HL", "FR"):
                    self.save(f"{person}/{person}{code}{angle}.JPG", size=(56, 76), format="JPEG")

    # ---------------------------------------------------------------- pixels in a table

    def pixels(self) -> str:
        return " ".join(str(v) for v in self.pictures.array((48, 48))[:, :, 0].ravel())

    def fer2013(self, header: str = "emotion,pixels,Usage") -> None:
        lines = [header]
        for i in range(9):
            usage = "Training" if i < 5 else "PublicTest" if i < 7 else "PrivateTest"
            values = {"emotion": str(i % 7), "pixels": self.pixels(), "Usage": usage}
            lines.append(",".join(values[name.strip()] for name in header.split(",")))
        self.text("fer2013.csv", "\n".join(lines) + "\n")

    def ferplus(self) -> None:
        """Votes: a clear face, a plurality, a tie, a non-face, an unknown, single votes."""
        self.fer2013()
        votes = [
            [10, 0, 0, 0, 0, 0, 0, 0, 0, 0],  # neutral
            [1, 5, 2, 2, 0, 0, 0, 0, 0, 0],  # happiness, just above half without the slip
            [0, 0, 4, 3, 3, 0, 0, 0, 0, 0],  # surprise by plurality alone
            [0, 0, 0, 5, 5, 0, 0, 0, 0, 0],  # tied
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 10],  # no face
            [0, 0, 0, 0, 0, 0, 0, 0, 8, 2],  # unknown
            [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],  # slips only
            [0, 0, 0, 0, 0, 0, 0, 9, 1, 0],  # contempt
            [0, 0, 0, 0, 2, 0, 8, 0, 0, 0],  # fear
        ]
        names = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
        lines = [f"Usage,Image name,{names}"]
        for i, row in enumerate(votes):
            usage = "Training" if i < 5 else "PublicTest" if i < 7 else "PrivateTest"
            name = "" if row[9] == 10 else f"fer{i:07d}.png"
            lines.append(f"{usage},{name},{','.join(map(str, row))}")
        self.text("fer2013new.csv", "\n".join(lines) + "\n")

    # ---------------------------------------------------------------- video

    def afew_va(self, *, parts: bool = False) -> None:
        for clip, actor in (("001", "jim"), ("002", "ann"), ("051", "jim")):
            base = f"{'02/' if clip == '051' else '01/'}{clip}" if parts else clip
            frames = {}
            for i in range(4):
                self.save(f"{base}/{i:05d}.png", size=(90, 60))
                points = [[20.0 + 20 * (k % 2), 15.0 + 10 * (k // 2 % 3)] for k in range(68)]
                frames[f"{i:05d}"] = {"landmarks": points, "valence": i - 2.0, "arousal": 10.0}
            content = {"video_id": clip, "actor": actor, "frames": frames}
            self.text(f"{base}/{clip}.json", json.dumps(content))

    def aff_wild(self, frames: int = 24) -> None:
        cv2 = pytest.importorskip("cv2")
        for video, suffix, codec in (("105", "avi", "MJPG"), ("271", "mp4", "mp4v")):
            file = self.root / f"videos/train/{video}.{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*codec), 25, (64, 64))
            for i in range(frames):
                writer.write(np.full((64, 64, 3), 10 * i, np.uint8))
            writer.release()
            for name, sign in (("valence", 1), ("arousal", -1)):
                lines = "".join(f"{sign * i / 100}\n" for i in range(frames))
                self.text(f"annotations/train/{name}/{video}.txt", lines)

    def aff_wild2(self) -> None:
        """Frame 00003 of the first video has no face; its frame 00002 has no valid label."""
        header = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"
        for part, video in (("Train_Set", "1-30"), ("Validation_Set", "8_left")):
            codes = [0, -1, 2, 3, 4, 7]
            va = ["0.5,-0.5", "-5,-5", "0.1,0.1", "1,1", "-1,0", "0,0"]
            self.text(f"EXPR_Recognition_Challenge/{part}/{video}.txt",
                      "\n".join([header, *map(str, codes)]) + "\n")  # fmt: skip
            self.text(f"VA_Estimation_Challenge/{part}/{video}.txt",
                      "\n".join(["valence,arousal", *va]) + "\n")  # fmt: skip
            for frame in (1, 2, 4, 5, 6):
                self.save(f"cropped_aligned/{video}/{frame:05d}.jpg", size=(112, 112))


@pytest.fixture
def trees(pictures) -> Trees:
    return Trees(pictures)
