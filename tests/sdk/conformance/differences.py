"""Behaviours that the older release cannot show, by test, with the reason."""

DIFFERENCES: dict[str, str] = {}
