"""What a push says of a model, and who says it: the signed manifest, and keys."""
