"""The command line of ``latch-endpoint``. What is heavy is imported when its command runs."""
