"""Cautions: what a reader of a number must know, as a code with values.

Whoever measures attaches `Caution("few-clusters", clusters=3, of="subjects")`; whoever renders
asks for its text. Every sentence is worded once, in `WORDINGS`, and no code reads a sentence to
learn what happened: it looks at `code` and `values`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from string import Formatter
from typing import Any, Literal

Level = Literal["error", "warning", "note"]
Value = str | int | float | bool

UNCODED = "uncoded"


@dataclass(frozen=True, slots=True)
class Wording:
    """How the cautions of one code are worded.

    Attributes:
        text: a format string over the values, such as "rank {rank:.1f} < 2".
        level: "error" (a number is missing or void), "warning", or "note".
    """

    text: str
    level: Level = "warning"


class Caution:
    """A code and its values; two cautions are equal when both are.

    >>> caution = Caution("few-clusters", clusters=3, of="subjects")
    >>> caution.code, dict(caution.values)
    ('few-clusters', {'clusters': 3, 'of': 'subjects'})
    >>> str(caution)
    'the interval rests on 3 subjects only'
    """

    __slots__ = ("code", "values")
    code: str
    values: Mapping[str, Value]

    def __init__(self, code: str, /, **values: Value) -> None:
        object.__setattr__(self, "code", code)
        plain = {k: v.item() if hasattr(v, "item") else v for k, v in values.items()}
        object.__setattr__(self, "values", plain)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a caution cannot be changed")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Caution):
            return NotImplemented
        return (self.code, self.values) == (other.code, other.values)

    def __hash__(self) -> int:
        return hash((self.code, tuple(sorted(self.values.items()))))

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(Caution, self.code, **self.values), ()

    def __repr__(self) -> str:
        values = "".join(f", {name}={value!r}" for name, value in self.values.items())
        return f"Caution({self.code!r}{values})"

    def __str__(self) -> str:
        return worded(self.code, self.values)

    @property
    def level(self) -> Level:
        """How grave it is."""
        return WORDINGS[self.code].level if self.code in WORDINGS else "warning"

    @property
    def kind(self) -> tuple[str, ...]:
        """The code with the values that are words: cautions of one kind are said once.

        >>> Caution("few-clusters", clusters=3, of="subjects").kind
        ('few-clusters', 'subjects')
        """
        return (self.code, *(v for _, v in sorted(self.values.items()) if isinstance(v, str)))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"code": self.code, "values": dict(self.values)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | str) -> Caution:
        """Inverse of `to_json`; a sentence, as older results hold them, becomes uncoded."""
        if isinstance(data, str):
            return uncoded(data)
        return Caution(data["code"], **data["values"])


def uncoded(text: str) -> Caution:
    """A sentence without a code: of an older result, or of somebody else's metric.

    >>> str(uncoded("read with care"))
    'read with care'
    """
    return Caution(UNCODED, text=text)


def as_cautions(items: Iterable[Caution | str]) -> tuple[Caution, ...]:
    """Each of them once, in order; sentences become uncoded cautions."""
    if items == ():  # as of most scores
        return ()
    given = tuple(c if isinstance(c, Caution) else uncoded(c) for c in items)
    return tuple(dict.fromkeys(given)) if len(given) > 1 else given


def has(cautions: Iterable[Caution], *codes: str) -> bool:
    """Whether any of them has one of the codes."""
    return any(caution.code in codes for caution in cautions)


@dataclass(frozen=True, slots=True)
class Span:
    """The lowest and highest of several values; formats as "low to high"."""

    low: float
    high: float

    def __str__(self) -> str:
        return format(self, "")

    def __format__(self, spec: str) -> str:
        low, high = format(self.low, spec), format(self.high, spec)
        return low if low == high else f"{low} to {high}"


def merged(cautions: Iterable[Caution]) -> str:
    """One sentence for several cautions of one kind: numbers that differ become ranges.

    >>> merged([Caution("few-clusters", clusters=n, of="subjects") for n in (3, 4, 3)])
    'the interval rests on 3 to 4 subjects only'
    """
    first, *others = list(cautions)
    values: dict[str, Any] = {}
    for name, value in first.values.items():
        if isinstance(value, (str, bool)):
            values[name] = value
        else:
            numbers: list[Any] = [value, *(c.values.get(name) for c in others)]
            known = [number for number in numbers if number is not None]
            values[name] = Span(min(known), max(known)) if known else None
    return worded(first.code, values)


def worded(code: str, values: Mapping[str, Any]) -> str:
    """The sentence of a code with its values.

    Without a wording, or where the values do not fit it (a number that was NaN is null in a
    file; another version may have used other names), code and values are shown as they are.

    >>> worded("few-clusters", {"n": 3})
    'few-clusters: n = 3'
    """
    if code == UNCODED:
        return str(values.get("text", ""))
    if code in WORDINGS:
        with suppress(KeyError, TypeError, ValueError):
            return Formatter().vformat(WORDINGS[code].text, (), values)
    return f"{code}: " + ", ".join(f"{name} = {value}" for name, value in values.items())


def declare(code: str, text: str, level: Level = "warning") -> None:
    """Word a code of your own; a package that brings a metric calls this on import.

    >>> declare("example-dark", "{n} faces are darker than {limit:.0%}")
    >>> str(Caution("example-dark", n=3, limit=0.1))
    '3 faces are darker than 10%'
    """
    WORDINGS[code] = Wording(text, level)


WORDINGS: dict[str, Wording] = {
    # Scores of any kind.
    "few-clusters": Wording("the interval rests on {clusters} {of} only"),
    "random-rows": Wording("a random {kept} of {total} {of}", "note"),
    "few-rows": Wording("{n} {of} are too few ({least} at least)", "error"),
    "no-labels": Wording("no {of} labels in {where}", "error"),
    "one-label": Wording("all rows have one label", "error"),
    "undefined": Wording("not defined on these rows (no such class, or no spread)", "error"),
    "fitted": Wording("computed on the rows the method was fitted on", "note"),
    # Data, folds and pairs.
    "no-official-part": Wording("{n} faces have no word in the official split and are left out"),
    "pairs-unlabelled": Wording("{faces} faces have no expression and are paired with themselves"),
    "pairs-unknown-subject": Wording(
        "{faces} faces have no subject: their partners have the same expression and may be "
        "the same person"
    ),
    "pairs-same-person": Wording(
        "{faces} faces have no other person of the same expression: their partners may show "
        "the same person"
    ),
    "pairs-alone": Wording(
        "{faces} faces are alone in their expression and paired with themselves"
    ),
    "folds-by-image": Wording(
        "subjects are unknown: folds are drawn by image, and the same person may be on both sides"
    ),
    "folds-partly-by-image": Wording("{faces} faces have no subject and are drawn by image"),
    "folds-validation-is-test": Wording(
        "the official validation part is the test part: there is no other"
    ),
    "fold-lacks-class": Wording("fold {fold}: no face of {classes} in the {part} part"),
    "fold-tests-known-subjects": Wording(
        "fold {fold}: {subjects} subjects are both trained on and tested"
    ),
    "validation-of-known-subjects": Wording(
        "the training and the validation faces share {subjects} subjects"
    ),
    "fold-validates-known-subjects": Wording(
        "fold {fold}: train and validation share {subjects} subjects"
    ),
    # Training.
    "epochs-chosen-on-test": Wording(
        "epochs were chosen on the test part (training.selection = 'oracle'): these numbers "
        "flatter the method and compare with no others"
    ),
    "few-steps": Wording("{steps} optimiser steps in all, fewer than {least}"),
    "few-steps-planned": Wording(
        "a budget of {steps} optimiser steps, fewer than {least}: raise "
        "training.steps or training.epochs"
    ),
    "first-epoch-kept": Wording(
        "stage {stage!r}: the first of {epochs} epochs was kept: later ones did no better on the "
        "validation part"
    ),
    "bound-near-zero": Wording(
        "stage {stage!r}: the bound {term} is {value:.2f} of at most {ceiling:.2f}: it has learned "
        "hardly anything"
    ),
    "bound-memorised": Wording(
        "stage {stage!r}: the bound {term} is {train:.2f} on training and {validation:.2f} on "
        "validation faces: it has memorised its faces"
    ),
    "one-class-predicted": Wording(
        "all {faces} faces of the {part} part are predicted as {predicted}"
    ),
    "accuracy-at-chance": Wording(
        "the balanced accuracy on the {part} part, {accuracy:.1%}, cannot be told from chance, "
        "{chance:.1%}"
    ),
    "loss-above-uniform": Wording(
        "the cross-entropy on its own training faces is {loss:.2f}, above ln C = {uniform:.2f}: "
        "equal probabilities would do better"
    ),
    "compile-without-backbone": Wording(
        "training.compile changes nothing: this method has no backbone to compile"
    ),
    "backbone-weights": Wording("backbone weights: {report}", "note"),
    "frozen-features-augmented": Wording(
        "the frozen part of the backbone was run anew in every epoch: training.augment = "
        "'{augment}' shows no face twice; 'flip' and 'none' read its features from a cache",
        "note",
    ),
    "frozen-features-inside": Wording(
        "the frozen part of the backbone was run anew in every epoch: it cannot be run apart from "
        "the rest of this network",
        "note",
    ),
    "branch-collapsed": Wording(
        "the non-expression branch has collapsed: effective rank {rank:.1f}, variance "
        "{share:.1e} of the expression branch's."
    ),
    "branch-collapsed-without-decoder": Wording(
        "the non-expression branch has collapsed: effective rank {rank:.1f}, variance "
        "{share:.1e} of the expression branch's; with beta1 = 0 a constant satisfies its losses."
    ),
    "attributes-not-demographic": Wording(
        "EIF's attributes are {names}: none of them is demographic."
    ),
    "identity-untrained": Wording(
        "without L_cov and L_ii no loss reaches z_id: it is as initialised."
    ),
    # Recognition and groups.
    "images-resampled": Wording("no subject labels: the interval resamples images"),
    "no-images": Wording("no image of this {of}", "error"),
    "small-group": Wording("n = {n} < {least}: shown, not compared"),
    "few-groups": Wording("fewer than two {of} of {least} images", "error"),
    "no-attribute": Wording("no attribute has 2 to 12 values", "error"),
    "few-shared-classes": Wording("fewer than two shared classes", "error"),
    # Leakage, verification, probes.
    "subjects-on-one-side": Wording(
        "fewer than two subjects have images of two expressions (or sequences)", "error"
    ),
    "subjects-left-out": Wording("{kept} of {total} subjects have images on both sides of the cut"),
    "uneven-people": Wording(
        "the faces of {people} people are spread so unevenly that they tell as much as those of "
        "{effective:.1f} would: closed-set numbers are left out; attackers count all people alike",
        "error",
    ),
    "no-validation": Wording(
        "too few images for a validation set: probes at their default setting"
    ),
    "ceiling-at-chance": Wording("the ceiling is not above chance", "error"),
    "no-pairs": Wording(
        "no subject has images of two expressions, or there is one subject only", "error"
    ),
    "few-impostors": Wording("only {pairs} impostor pairs for a FAR of {rate:g}"),
    "no-candidates": Wording("no query has a candidate to find", "error"),
    "queries-subset": Wording(
        "{queries} random queries against {gallery} of {total} images", "note"
    ),
    # Attackers.
    "few-for-far": Wording(
        "a false-accept rate of {rate:g} needs {needed} impostor pairs of {people_needed} pairs "
        "of people; there are {pairs} of {people_pairs}",
        "error",
    ),
    "few-for-search": Wording(
        "fewer than {least} people or expressions ({targets}) can be searched for", "error"
    ),
    "few-for-worst": Wording(
        "fewer than {least} people ({people}) have enough faces for two halves", "error"
    ),
    "few-attacked": Wording(
        "the {part} part has {people} people with {pairs} pairs of one person in two expressions: "
        "too few to see a leak"
    ),
    "attacker-not-fitted": Wording(
        "the attacker {attacker} learnt nothing: AUC {auc:.3f} on its own training people, "
        "{ignorant:.3f} by the cosine"
    ),
    "wide-embedding": Wording(
        "attackers that learn see the first {kept} principal components of {columns} columns, "
        "{variance:.0%} of their variance; the cosine sees them all",
        "note",
    ),
    "foreign-embedding": Wording(
        "the embeddings of training and test people have second moments of correlation "
        "{across:.2f} (two halves of the training people {within:.2f}): are they of one run?"
    ),
    "permuted-above-chance": Wording(
        "with permuted people the attacker reads AUC {auc:.3f} instead of .5: compare with that"
    ),
    "validation-not-repeated": Wording(
        "the attacker reads AUC {validation:.3f} on validation people and {test:.3f} on test "
        "people: are the subjects of the test part right?"
    ),
    "training-people-at-chance": Wording(
        "the cosine reads AUC {training:.3f} on training people and {validation:.3f} on "
        "validation people: are the subjects of the train part right?"
    ),
    "finds-leaks": Wording(
        "this evaluation finds leaks from EER {eer:.2f} down (planted ones, in 90 % of draws)",
        "note",
    ),
    "leak-missed": Wording(
        "no leak was found, and of planted ones only those from EER {eer:.2f} down are: this says "
        "little; test more people"
    ),
    "eraser-without-guarantee": Wording(
        "identity was taken out by {eraser}, which promises nothing about what is left", "note"
    ),
    "class-scores-only": Wording(
        "this embedding holds the scores of {classes} classes and no more: a line to beat for "
        "accuracy alone, of no use for other classes, intensities or mutual information",
        "note",
    ),
    "pixels-as-descriptor": Wording(
        "pixels stand in for a face-recognition descriptor of the other photograph: light, hair "
        "and background of one session link it as well"
    ),
    "network-as-descriptor": Wording(
        "{descriptor} describes the other photograph, from the small copy that the results keep",
        "note",
    ),
    # Mutual information.
    "above-entropy": Wording("above H({of}) = {entropy:.3f} nats: impossible, the estimator errs"),
    "collapsed": Wording(
        "one direction of the embedding holds most of its variance: effective rank {rank:.2f}"
    ),
    "calibration-bias": Wording(
        "fails its calibration: on matched problems of known information the estimator reads "
        "{nats:.2f} nats too {direction}"
    ),
    "calibration-slope": Wording(
        "fails its calibration: on matched problems of known information the estimator reads "
        "{share:.0%} of what is planted"
    ),
    "gap-at-most": Wording(
        "at most about so much: the second term, I(E_M; I_M), fails its calibration and is read "
        "too low"
    ),
    "few-rows-per-label": Wording(
        "{labels} labels in {rows} rows, fewer than {least} each: what tells them apart cannot be "
        "learnt from so few, so the value is a lower bound, and may be far too low"
    ),
    "near-ceiling": Wording("saturated at ln(batch) = {ceiling:.3f}: raise batch"),
    "one-person-twice": Wording("no subject labels: a pair may show one person twice"),
    "pairs-share-images": Wording(
        "few images: fitted and valued pairs share images, the value is too high"
    ),
    "few-per-expression": Wording("no expression has {least} rows", "error"),
    "undefined-term": Wording("a term is not defined", "error"),
    # Mutual information: what is read.
    "few-rows-for-mi": Wording("only {n} rows: the value is hardly more than a guess"),
    "one-group": Wording("all rows are of one group: intervals treat the rows as independent"),
    "one-class": Wording("{side} has one class: it shares nothing with anything"),
    "many-classes": Wording(
        "{side} is read as labels with {classes} classes for {rows} rows: if they are {kind}, "
        "pass {option}"
    ),
    "few-distinct": Wording(
        "{side} has only {distinct} distinct {of}: if they are labels, pass {option}"
    ),
    "constant-side": Wording("{side} is constant: it shares nothing with anything"),
    "constant-columns": Wording("{side}: {columns} constant columns were left out"),
    "offset": Wording(
        "{side}: an offset leaves {dtype} fewer than two digits: subtract it before rounding"
    ),
    "wide-side": Wording(
        "{side} has {dims} dimensions for {rows} rows: reduce it first, or mistrust this"
    ),
    "float16-ties": Wording(
        "{side} is float16 with many ties: neighbour estimators read ties as signal"
    ),
    "collapsed-side": Wording("collapsed embedding: the effective rank of {side} is below 2"),
    "same-values": Wording("x and y are the same values: they share all there is, infinitely much"),
    "same-side": Wording(
        "{left} and {right} are the same values up to sign, scale and offset and share "
        "infinitely much"
    ),
    "same-column": Wording(
        "{left} and {right} are the same values up to sign, scale and offset and share "
        "infinitely much: drop one of them"
    ),
    "duplicate-rows": Wording(
        "{share:.0%} of the rows are duplicates: copies on both sides of a split, or as nearest "
        "neighbours, read as information"
    ),
    # Mutual information: what was estimated.
    "no-number": Wording("no number came out: give more rows, or reduce the sides first", "error"),
    "null-no-number": Wording("{failed} of {copies} permuted copies gave no number: no null"),
    "below-zero": Wording("below 0: nothing the critic learnt holds on kept-out rows"),
    "not-calibrated": Wording(
        "the interval is not calibrated: {estimator} gave no number for planted rows"
    ),
    "upper-bound": Wording("an upper bound, which can lie far above the information"),
    "loose-upper-bound": Wording(
        "an upper bound, and a loose one: normal sides that share {normal:.2f} nats read as much"
    ),
    "difference": Wording("a difference of two estimates: errors add"),
    "small-classes-left-out": Wording("{rows} rows of classes below ten were left out"),
    "small-classes": Wording(
        "{few} of {classes} classes of z have fewer than {least} rows: their values are hardly "
        "more than guesses"
    ),
    "single-member-classes": Wording("{rows} rows whose class has one member were left out"),
    "wide-neighbours": Wording(
        "neighbour distances say little in {dims} dimensions: expect too small a value"
    ),
    "dims-kept": Wording("{side}: kept {kept} of {dims} dimensions (n = {n})"),
    "same-direction": Wording(
        "a direction of x is one of y (correlation 1): they share infinitely much, and the "
        "number is that of the rounding"
    ),
    "near-negatives": Wording(
        "near log(number of negatives) = {limit:.2f}: a bound cannot certify more"
    ),
    "saturated-batch": Wording(
        "saturated at ln(batch) = {ceiling:.3f}: raise batch, or use another bound"
    ),
    "saturated-alpha": Wording("saturated at ln(rows / alpha) = {ceiling:.3f}: lower alpha"),
    "few-for-network": Wording(
        "{rows} rows are few for a network: it can read far too little (closed forms and "
        "neighbours need fewer)"
    ),
    "leading-components": Wording(
        "{side}: networks saw the {kept} leading components of {columns} columns"
    ),
    "few-groups-to-split": Wording(
        "only {groups} groups: rows of one group lie on both sides of the split, so that what "
        "marks a group may read as information; {least} groups are kept apart"
    ),
    "few-rows-for-density": Wording("{rows} rows to fit {dims} dimensions of y: reduce it first"),
    "many-cells": Wording("{cells} occupied cells for {rows} rows: the plug-in overstates"),
    "sliced": Wording("sliced information is a quantity of its own, at most I", "note"),
    "too-high-to-check": Wording(
        "too high to be checked with so few rows: rests on the closed form"
    ),
    "telling-pair": Wording(
        "too small: column {column_x} of x and column {column_y} of y alone share {least:.2f} "
        "nats at least (constant columns are not counted); give more rows, or fewer columns"
    ),
    # Factors and independence.
    "few-per-label": Wording("fewer than eight rows (of every label)", "error"),
    "p-from-random-rows": Wording("p-value from a random {kept} of {total} rows", "note"),
    # Decoder.
    "unknown-people": Wording(
        "subjects are unknown: people drawn here may be among those it was fitted on"
    ),
    "people-overlap": Wording("{n} test people are among those the decoder was fitted on"),
    "no-faces": Wording("no test face has what this needs", "error"),
    "no-swaps": Wording("no two test faces differ in person and expression", "error"),
    # Embeddings brought from elsewhere.
    "encoder-people-unknown": Wording(
        "it is unknown whether the encoder was trained on the people it is tested on: if it was, "
        "all these numbers flatter it",
        "error",
    ),
    "tested-people-trained-on": Wording(
        "{people} people of the test part are also in the training part", "error"
    ),
    "no-training-people": Wording("there are no training people: not asked are {attackers}"),
    "split-made": Wording(
        "no split was given: {people} people were divided at random to fit probes and attackers",
        "note",
    ),
    "predictions-at-chance": Wording(
        "predictions agree with {share:.1%} of the labels and would by chance with {chance:.1%}: "
        "either nothing was learned, or rows, ids or the order of the classes are shuffled",
        "error",
    ),
    "hard-predictions": Wording(
        "only the predicted classes are known, not their scores: calibration and likelihood say "
        "nothing here"
    ),
    "rows-copied": Wording(
        "{n} of {of} test rows have exactly the embedding of a row of the other parts: the same "
        "picture is on both sides",
        "error",
    ),
    "rows-without-subject": Wording("{n} rows have no subject and are left out"),
    "video-for-person": Wording("people are unknown: the video stands for the person"),
    "image-for-sequence": Wording(
        "expressions are unknown: people are told apart between any two of their pictures, which "
        "near copies make easy"
    ),
    "frames-thinned": Wording(
        "at most {most} frames of a video, evenly spaced: {kept} of {total} rows", "note"
    ),
    # Comparisons of methods.
    "no-value-from": Wording("no value from {methods}: left out", "note"),
    "cells-incomplete": Wording(
        "{lacking} of {cells} cells (fold, seed) lack a method: ranks use the complete ones", "note"
    ),
    "one-fold": Wording("one fold: the tests speak of these test subjects only", "note"),
    "few-to-rank": Wording("fewer than {least} methods", "note"),
    "few-blocks": Wording("{blocks} complete folds (or seeds) are too few for ranks", "note"),
    "ranks-alike": Wording("Friedman's test finds no difference (p = {p:.3f})", "note"),
    "few-pairs": Wording("cannot be separated with {n} pairs", "note"),
    "not-separated": Wording("not separated at {alpha:g} with {n} pairs", "note"),
    "separated": Wording("{better} is better", "note"),
    "may-be-chance": Wording("the difference may be chance", "note"),
    "few-trainings": Wording(
        "training was repeated too seldom for a claim: it takes two seeds, three for small "
        "differences, or three folds",
        "note",
    ),
    # Verification of a result folder.
    "file-missing": Wording("{run}: {file} is missing", "error"),
    "file-changed": Wording("{run}: {file} was changed after the run was sealed", "error"),
    "file-added": Wording("{run}: {file} was added after the run was sealed", "error"),
    "unreadable": Wording("{run} cannot be read: {reason}", "error"),
    "run-renamed": Wording("{run}: its spec is that of {id}", "error"),
    "run-lacking": Wording(
        "{method}, seed {seed}, fold {fold} is planned, and neither there nor failed", "error"
    ),
    "run-not-planned": Wording("{method}, seed {seed}, fold {fold} is not in the plan", "error"),
    "folds-of-others": Wording("{run}: the fold file is not the one it was planned with", "error"),
    "rows-elsewhere": Wording(
        "{run}: {n} rows of the {part} part are not where the folds put them", "error"
    ),
    "people-across": Wording("{run}: {people} tested people are also in other parts", "error"),
    "rows-copied-across": Wording(
        "{run}: {n} test rows are copies of rows of the other parts", "error"
    ),
    "people-copied": Wording("{run}: {n} rows are there under two people", "error"),
    "labels-differ": Wording("{run}: row {row} has other labels than in the other runs", "error"),
    "card-differs": Wording("the data card says {said} for {what}, and the labels do not", "error"),
    "score-missing": Wording("{run}: {score} is not recorded", "error"),
    "score-added": Wording("{run}: {score} is recorded and does not come out", "error"),
    "score-differs": Wording("{run}: {score} is recorded as {recorded} and is {again}", "error"),
    "score-rounded": Wording(
        "{run}: {score} is recorded as {recorded}, rounded from {again}", "error"
    ),
    "metric-arrays-differ": Wording(
        "{run}: the array {array} that {metric} keeps does not come out", "error"
    ),
    "metric-unknown": Wording("no metric {metric} is installed"),
    "metric-version": Wording(
        "{metric} was recorded by its version {recorded}, and version {here} is installed"
    ),
    "never-scored": Wording("{run} has no scores"),
    # The headline of a page.
    "all-failed": Wording(
        "every planned run failed ({runs} of {runs}): there is no number to compare", "error"
    ),
    "none-finished": Wording(
        "no planned run finished ({states}): there is no number to compare", "error"
    ),
    "no-method-finished": Wording(
        "no run of a method finished ({states}): there is no number to compare", "error"
    ),
    "main-reason": Wording("why{share}: {reason}", "error"),
    "run-again": Wording(
        "once that is mended, the same experiment into the same folder starts them again", "note"
    ),
    "best-alone": Wording(
        "{best} has the best {measure}: {value}{margins}, ahead of every other method", "note"
    ),
    "best-tied": Wording(
        "{best} has the best {measure}: {value}{margins}, but cannot be told apart from {tied}",
        "note",
    ),
    "only-method": Wording("{best} has an {measure} of {value}{margins}", "note"),
    "all-at-chance": Wording(
        "no method is shown to be better than guessing: the best {measure} is {value}, that of "
        "guessing {chance}",
        "note",
    ),
    "nothing-recognised": Wording("no method has a score yet: there is nothing to compare", "note"),
    "recognition-unmeasured": Wording(
        "there are no predictions of expressions: recognition is not compared", "note"
    ),
    "leak-without-people": Wording(
        "how much of the person is left in the embeddings cannot be measured: the data name no "
        "people",
        "note",
    ),
    "leak-unmeasured": Wording("how much of the person is left was not measured", "note"),
    "leak-of-none": Wording(
        "no method is sound enough to ask how much of the person it keeps", "note"
    ),
    "above-eraser": Wording(
        "more is recognised than by ERM with an eraser that leaves no more of the person: {gains}",
        "note",
    ),
    "none-above-eraser": Wording(
        "no method recognises more than ERM with an eraser that leaves no more of the person",
        "note",
    ),
    "control-above-eraser": Wording(
        "no method recognises more than ERM with an eraser that leaves no more of the person; the "
        "control {controls} does, so that a method could have been seen to",
        "note",
    ),
    "eraser-undecided": Wording(
        "undecided: whether more is recognised by {methods} than by ERM with an eraser that leaves "
        "no more of the person",
        "note",
    ),
    "leak-least": Wording(
        "of those that can be compared, {least} keeps least of the person ({measure} {value}); "
        "ERM with an eraser was not run, so whether that is little cannot be said",
        "note",
    ),
    "leak-tied": Wording(
        "of those that can be compared, {least} keeps least of the person ({measure} {value}), "
        "but cannot be told apart from {tied}; ERM with an eraser was not run, so whether that is "
        "little cannot be said",
        "note",
    ),
    "one-method": Wording("with one method there is nothing to tell apart", "note"),
    "none-to-rank": Wording(
        "methods that may be guessing are not ranked: it takes more training, or more faces",
        "note",
    ),
    "takes-folds": Wording(
        "{open} cannot be told from the best: two folds say too little of how far results vary "
        "from fold to fold, so it takes more folds",
        "note",
    ),
    "all-separated": Wording(
        "every other method can be told from the best (pairs of runs: {pairs})", "note"
    ),
    "too-few-runs": Wording(
        "{open} cannot be told from the best (pairs of runs: {pairs}): "
        "it takes {least} at least, so more seeds or folds",
        "note",
    ),
    "one-seed": Wording(
        "{open} cannot be told from the best: with one seed nothing says how far training varies",
        "note",
    ),
    "takes-trainings": Wording(
        "{open} cannot be told from the best: with fewer than three seeds or "
        "folds a small difference is no claim, even where people agree on it",
        "note",
    ),
    "takes-people": Wording(
        "{open} cannot be told from the best; a difference of {margin} would "
        "be seen {chance} of the time with these {people} test people and {seeds} seeds, and four "
        "times in five with {needed} people",
        "note",
    ),
    "takes-seeds": Wording(
        "{open} cannot be told from the best; a difference of {margin} would "
        "be seen {chance} of the time, and with {seeds} seeds no number of people is enough",
        "note",
    ),
    "would-be-seen": Wording(
        "{open} cannot be told from the best, though a difference of {margin} "
        "would be seen {chance} of the time",
        "note",
    ),
    "not-separated-from-best": Wording(
        "{open} cannot be told from the best (pairs of runs: {pairs}): "
        "it takes more people or more seeds, or they are equal",
        "note",
    ),
    "row-failed": Wording("failed: {reason}", "error"),
    "row-collapsed": Wording("its embedding has collapsed to one direction", "error"),
    "row-at-chance": Wording("not shown to be better than guessing ({chance})", "error"),
    # Summaries of a result folder.
    "runs-failed": Wording(
        "planned runs that failed: {runs}; the numbers rest on the others", "error"
    ),
    "runs-damaged": Wording(
        "runs whose files are damaged or lack scores: {runs}; the numbers rest on the others",
        "error",
    ),
    "runs-skipped": Wording(
        "planned runs that could not be done: {runs}; the numbers rest on the others"
    ),
    "older-runs": Wording(
        "older runs of the same row, seed and fold that are left out (other parameters or "
        "another version): {runs}"
    ),
    "metric-failed": Wording("the metric {metric!r} failed: {error}", "error"),
    "one-run": Wording(
        "trained once: nothing tells how far another seed or fold would change its numbers", "note"
    ),
}
