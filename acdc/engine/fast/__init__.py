"""The fast engine: every decision of the reference, with only what changes computed anew."""
