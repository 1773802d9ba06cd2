"""Running a model with some edges ablated."""
