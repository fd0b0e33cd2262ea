"""Attacks on a model's pixels: how far an image must be changed until the answer is wrong."""
