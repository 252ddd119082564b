"""
What the words of the report mean
=================================

One picture a word: E and I, the pair behind the MIG, nats, the null, leak, and its scale. The
embeddings are made up so that the answer can be seen.
"""

import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(0)
COLOURS = plt.get_cmap("tab10").colors
people, takes, classes = 6, 10, 3
person = np.repeat(np.arange(people), takes * classes)
expression = np.tile(np.repeat(np.arange(classes), takes), people)


def circle(codes, count):
    """One place on a circle for each code."""
    angle = 2 * np.pi * codes / count
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


noise = rng.normal(scale=0.18, size=(2, len(person), 2))
E = circle(expression, classes) + 0.2 * circle(person, people) + noise[0]
I = circle(person, people) + noise[1]  # noqa: E741

# %%
# **E and I.** A dot is a face. The expression embedding E should group faces by expression
# (colours), whoever is shown; the identity embedding I should group them by person (colours),
# whatever they express.

fig, axes = plt.subplots(1, 2, figsize=(7, 3.2))
for axis, points, codes, title in (
    (axes[0], E, expression, "E, coloured by expression"),
    (axes[1], I, person, "I, coloured by person"),
):
    axis.scatter(*points.T, c=[COLOURS[c] for c in codes], s=14)
    axis.set(title=title, xticks=[], yticks=[])
plt.tight_layout()
plt.show()

# %%
# **E_M, E_N and I_M.** M and N are faces of two people with one expression. What E_M and E_N share
# is expression, since nothing else is common to the pair: that term should be large. What E_M and
# I_M share leaked from one embedding of a face into the other: that term should be zero. The
# modified MIG is the first less the second.

fig, axis = plt.subplots(figsize=(7, 3))
boxes = {"face M": (0, 1), "face N": (0, 0), "E_M": (2, 1.25), "I_M": (2, 0.75), "E_N": (2, -0.1)}
for name, place in boxes.items():
    axis.annotate(name, place, ha="center", va="center", bbox={"boxstyle": "round", "fc": "white"})
for start, end in (("face M", "E_M"), ("face M", "I_M"), ("face N", "E_N")):
    style = {"arrowstyle": "->", "color": "grey", "shrinkA": 22, "shrinkB": 18}
    axis.annotate("", boxes[end], boxes[start], arrowprops=style)
for start, end, colour, bend, text, where in (
    ("E_M", "E_N", COLOURS[2], -0.9, "I(E_M; E_N): expression,\nthe more the better", (2.75, 0.4)),
    ("E_M", "I_M", COLOURS[3], 0.9, "I(E_M; I_M): leaked,\nthe less the better", (0.85, 1.6)),
):
    style = {"arrowstyle": "<->", "color": colour, "shrinkA": 14, "shrinkB": 14,
             "connectionstyle": f"arc3,rad={bend * 0.5}"}  # fmt: skip
    axis.annotate("", boxes[end], boxes[start], arrowprops=style)
    axis.annotate(text, where, color=colour, va="center", fontsize=9)
axis.set(xlim=(-0.5, 4.5), ylim=(-0.4, 1.9))
axis.axis("off")
plt.tight_layout()
plt.show()

# %%
# **Nats.** Seven equally frequent expressions have ln 7 = 1.95 nats of entropy: no embedding can
# tell more. The curve is what a classifier tells that is right so often and otherwise guesses.

right = np.linspace(1 / 7, 1 - 1e-9, 200)
wrong = (1 - right) / 6
nats = np.log(7) + right * np.log(right) + 6 * wrong * np.log(wrong)
fig, axis = plt.subplots(figsize=(6, 3.2))
axis.plot(right, nats)
axis.axhline(np.log(7), color="grey", linestyle="--")
axis.annotate("entropy of the labels: ln 7", (0.2, np.log(7) - 0.14), color="grey")
axis.set(xlabel="accuracy", ylabel="I(E; expression) in nats")
plt.tight_layout()
plt.show()


# %%
# **The null.** What the same attacker reads from the same E when the people are permuted, many
# times. Only what stands clear of that is a leak; the p-value is the share of permutations that
# read as much.


def nearest(points, codes):
    """Share of faces whose nearest other face is of the same person."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return (codes[apart.argmin(axis=1)] == codes).mean()


null = [nearest(E, rng.permutation(person)) for _ in range(199)]
read = nearest(E, person)
fig, axis = plt.subplots(figsize=(6, 3.2))
axis.hist(null, bins=15, color="lightgrey", label="people permuted")
axis.axvline(read, color=COLOURS[3], label="as it is")
axis.set(xlabel="share of people named rightly from E", ylabel="permutations")
axis.legend()
plt.tight_layout()
plt.show()

# %%
# **Leak.** Similarities of two faces in E, of one person and of two, with the mean of each
# expression taken out. Where the two curves part, E
# tells who is shown. The AUC is the chance that a pair of one person is the more similar one: .5 is
# guessing.

means = np.stack([E[expression == c].mean(axis=0) for c in range(classes)])
rest = E - means[expression]
similar = -np.linalg.norm(rest[:, None] - rest[None], axis=2)
pairs = (expression[:, None] != expression[None]) & np.triu(np.ones_like(similar, bool), 1)
same = person[:, None] == person[None]
one, two = similar[pairs & same], similar[pairs & ~same]
auc = (one[:, None] > two[None]).mean()
fig, axis = plt.subplots(figsize=(6, 3.2))
for values, name, colour in ((one, "one person", COLOURS[3]), (two, "two people", COLOURS[0])):
    axis.hist(values, bins=25, density=True, histtype="step", color=colour, label=name)
axis.set(xlabel="similarity in E, expressions differ", yticks=[], title=f"AUC {auc:.2f}")
axis.legend()
plt.tight_layout()
plt.show()

# %%
# **Floor and ceiling.** Nobody leaks less than the null; even perfect labels tell something of the
# person (the floor), for people differ in how often they smile; and no embedding tells more than
# the attackers read from the picture itself (the ceiling). A leak is quoted on the scale from null
# to ceiling.

fig, axis = plt.subplots(figsize=(7, 2))
marks = (
    (0.05, "null: 5 %\n(20 people)", "grey"),
    (0.11, "floor: 11 %\n(labels alone)", COLOURS[7]),
    (0.38, "E: 38 %", COLOURS[3]),
    (0.92, "ceiling: 92 %\n(the pixels)", COLOURS[0]),
)
axis.plot([0.05, 0.92], [0, 0], color="lightgrey", linewidth=6, zorder=0)
for side, (place, text, colour) in enumerate(marks):
    axis.plot(place, 0, "o", color=colour, markersize=9)
    height = 0.35 if side % 2 else -0.35
    axis.annotate(text, (place, height), ha="center", va="center", color=colour, fontsize=9)
scale = (0.38 - 0.05) / (0.92 - 0.05)
axis.set(xlim=(-0.03, 1), ylim=(-0.7, 0.7), title=f"identity leak: {scale:.0%} of the way up")
axis.axis("off")
plt.tight_layout()
plt.show()
