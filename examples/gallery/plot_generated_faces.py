"""
The generated faces
===================

Faces that need no download and no consent: every person, expression and pose is drawn from factors.
"""

import matplotlib.pyplot as plt

import fer_bench

data = fer_bench.load_dataset("generated", subjects=4, images_per_subject=7, size=64, seed=1)
print(f"{len(data)} faces of {len(data.subjects)} people, {len(data.classes)} expressions")

# %%
# A row per person, a column per expression.

figure, axes = plt.subplots(4, 7, figsize=(8, 4.8))
for row, subject in enumerate(data.subjects):
    mine = data.table.index[data.table["subject"] == subject]
    for column, index in enumerate(mine):
        axes[row, column].imshow(data.images[index])
        axes[row, column].set_axis_off()
        if row == 0:
            axes[row, column].set_title(data.table["expression"][index], fontsize=8)
plt.tight_layout()
plt.show()
