"""What calibration sees of a float network, what is wrong with its samples, and how far results lie apart."""
