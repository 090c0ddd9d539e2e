"""The packaged migrations."""
