"""ACDC's decisions, without a model: the rule, the order of visiting, and what it needs of an engine."""
