"""The sandbox of a session: one PID namespace that holds every process the session starts, and its proven kill.

``sandbox`` starts, uses and kills one; ``self_test`` says whether this machine can keep the promise.
"""
