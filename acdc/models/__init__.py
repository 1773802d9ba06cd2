"""Opening a model and turning it into node functions."""
