"""Fast looks at a model on a task, before and after pruning: what each part does, and why.

Each look is a function of a :class:`acdc.engine.setting.Setting` that gives back a
:class:`acdc.analysis.result.Result`: arrays, a table, a plot. All are computed by the engine's own node functions, so
that they agree with the circuits.
"""
