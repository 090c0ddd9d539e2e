"""The customer's policy: its schema, its file, and the decision on an offer.

``schema`` is what a policy can say, ``windows`` when it opens, ``decision`` what it makes of an offer: all pure.
``reading`` takes it from a file.
"""
