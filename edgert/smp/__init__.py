"""The Simple Management Protocol (SMP, mcumgr) that pushes speak: messages, their CBOR, and framings of serial lines.

Both sides of a push stand on this part, and it stands on the standard library alone. The protocol is Zephyr's:
https://docs.zephyrproject.org/latest/services/device_mgmt/smp_protocol.html
"""
