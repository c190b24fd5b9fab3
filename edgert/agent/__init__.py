"""The receiving side of a push: what runs on the device, without a listening port and without privileges.

    Server (server.py)      SMP messages in, SMP messages out; never raises, whatever the line brings
    Session (session.py)    the state machine of one push at a time
    serve (serve.py)        a line's bytes to the server and back: standard input and output, or a serial port (tty.py)
    once.py                 installs a bundle that lies in a folder, such as a USB stick

Only the standard library and the runtime are needed, `cryptography` for signatures, and zstd where it is there.
"""
