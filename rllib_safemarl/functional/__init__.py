"""Pure mathematics: torch and NumPy only, no Ray, no input or output."""
