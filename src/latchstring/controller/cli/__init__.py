"""The ``latch-controller`` command: light, so that ``--help`` is quick; what is heavy is imported inside commands."""
