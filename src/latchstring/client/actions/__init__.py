"""What each command of ``latch`` does, once its options have been parsed."""
