"""The ways to a device, one a file; edgert.device.connect opens them."""
