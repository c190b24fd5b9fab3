"""The interpreter over the C core."""
