"""
How many people and seeds would decide?
=======================================

The chance of finding a difference of five points, from the spreads over people and over seeds.
"""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from fer_bench.statistics.power import Design, Spread, people_needed, power

spread = Spread(people=0.20, seeds=0.02)  # standard deviations, measured in a pilot

# %%
# More people help until the seeds are what varies.

rows = [
    {"people": n, "seeds": seeds, "chance": power(spread, Design(n, seeds, methods=4), 0.05)}
    for seeds in (2, 3, 5, 10)
    for n in (10, 20, 50, 100, 200, 500, 1000)
]
axes = sns.lineplot(pd.DataFrame(rows), x="people", y="chance", hue="seeds", palette="viridis")
axes.set(xscale="log", ylim=(0, 1), xlabel="test people", ylabel="chance of finding 5 points")
plt.tight_layout()
plt.show()

# %%
# With five seeds, this many people find it four times out of five:

print(people_needed(spread, 0.05, seeds=5, methods=4))
