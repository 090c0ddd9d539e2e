"""Sessions: what engineers ask for, what endpoints report, and what time forces."""
