"""Experiments: several clients at one resource, in an order that is written down or left to chance."""
