"""How well circuits do the task of the model that they are of."""
