"""The command of engineers and auditors."""
