"""Reading logs, and proving that nothing in them was changed or left out."""
