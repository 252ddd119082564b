"""Attackers: how much of a person is left in an embedding, asked the way an attacker would.

Every attacker answers one question, each with more effort than the one before: are these two
embeddings of one person, photographed with different expressions? The people it is asked about
were seen neither by the method nor by the attacker. See `fer_bench.attackers.ladder`.

**What these attackers are for.** They measure how much identity an expression embedding still
carries, on data sets whose people agreed to research and stand under codes: a closed evaluation,
to make methods that leak less. Nothing here searches for a person, names anybody, or works across
data sets. Do not use it on people outside such an evaluation, and do not publish which persons
are easiest to recognise: results hold shares of people, never a person's own number.
"""
