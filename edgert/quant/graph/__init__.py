"""The float graph's structure for the quantiser, and its rewriting to what every node shall compute in."""
