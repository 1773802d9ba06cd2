"""Learned masks: a weight for every edge, trained by gradient to keep the metric low with as few edges as can be.

A method is a :class:`~acdc.methods.masks.options.LearnedMasks`, whose fields are its options; its masks are a
:class:`~acdc.methods.masks.training.Masks`, which the one loop of :mod:`acdc.methods.masks.training` trains. Nothing
but :mod:`~acdc.methods.masks.options` can be imported without torch.
"""
