"""Ranges, scales, and the rounding of weights and biases."""
