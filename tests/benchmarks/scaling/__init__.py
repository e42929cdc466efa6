"""How steps per second grow with env runners and learners: measured, modelled, checked, foretold."""
