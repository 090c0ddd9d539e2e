"""The endpoint's journal: what it did, in signed statements, in a Merkle tree of its own.

``store`` writes it (one thread, one SQLite file), ``journal`` is the agent's way to it, ``reading`` and ``verify`` are
for people.
"""
