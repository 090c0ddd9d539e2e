"""The audit logs: Merkle trees whose entries, tiles and checkpoints are rows of the database."""
