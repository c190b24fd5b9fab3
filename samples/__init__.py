"""Samples that edgert ships: models small enough for a package, with data of their own."""
