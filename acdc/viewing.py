"""A run as a page that explores it: what its folder holds, and what running the model adds."""

from __future__ import annotations
