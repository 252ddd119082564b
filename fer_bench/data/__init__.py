"""Faces: arrays beside a label table, readers, splits, pairs."""

from fer_bench.data.confound import confound
from fer_bench.data.faces import DataInfo, FaceData
from fer_bench.data.labels import EXPRESSIONS
from fer_bench.data.loading import load_dataset
from fer_bench.data.pairs import PairSampler
from fer_bench.data.splits import Fold, FoldFile, make_folds

__all__ = [
    "EXPRESSIONS",
    "DataInfo",
    "FaceData",
    "Fold",
    "FoldFile",
    "PairSampler",
    "confound",
    "load_dataset",
    "make_folds",
]
