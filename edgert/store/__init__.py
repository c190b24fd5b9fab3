"""What lies on the device's disk: objects by their hashes, staging, generations of models and their state."""
