"""Every number of the protocol: groups, commands and errors. Zephyr's first, then those of edgert's own group.

Sources: Zephyr's "SMP protocol specification", "SMP group 0 (default/OS)" and "SMP group 8 (file management)".
"""

from __future__ import annotations

from enum import IntEnum


class Group(IntEnum):
    OS = 0
    FS = 8
    EDGERT = 237  # groups from 64 on are free for applications


class OsCommand(IntEnum):
    ECHO = 0  # write {"d": text} -> {"r": text}
    PARAMETERS = 6  # read {} -> {"buf_size", "buf_count"}


class FsCommand(IntEnum):
    FILE = 0  # read {"off", "name"} -> {"off", "data", "len"?}; write {"off", "data", "name", "len"?} -> {"off"}
    STATUS = 1  # read {"name"} -> {"len"}
    HASH = 2  # read {"name", "type"?, "off"?, "len"?} -> {"type", "off"?, "len", "output"}
    HASH_TYPES = 3  # read {} -> {"types": {name: {"format", "size"}}}
    CLOSE = 4  # write {} -> {}


class EdgertCommand(IntEnum):
    OFFER = 0
    STATUS = 1
    VERIFY = 2
    ACTIVATE = 3
    CONFIRM = 4
    ROLLBACK = 5


class MgmtError(IntEnum):
    """Errors that any group may answer, as {"rc"}."""

    OK = 0
    UNKNOWN = 1
    NO_MEMORY = 2
    INVALID = 3
    TIMEOUT = 4
    NO_ENTRY = 5
    BAD_STATE = 6
    TOO_LARGE = 7
    NOT_SUPPORTED = 8
    CORRUPT = 9
    BUSY = 10
    ACCESS_DENIED = 11
    PROTOCOL_TOO_OLD = 12
    PROTOCOL_TOO_NEW = 13


class FsError(IntEnum):
    """Errors of group 8."""

    OK = 0
    UNKNOWN = 1
    FILE_INVALID_NAME = 2
    FILE_NOT_FOUND = 3
    FILE_IS_DIRECTORY = 4
    FILE_OPEN_FAILED = 5
    FILE_SEEK_FAILED = 6
    FILE_READ_FAILED = 7
    FILE_TRUNCATE_FAILED = 8
    FILE_DELETE_FAILED = 9
    FILE_WRITE_FAILED = 10
    FILE_OFFSET_NOT_VALID = 11
    FILE_OFFSET_LARGER_THAN_FILE = 12
    CHECKSUM_HASH_NOT_FOUND = 13
    MOUNT_POINT_NOT_FOUND = 14
    READ_ONLY_FILESYSTEM = 15
    FILE_EMPTY = 16


class RefusalCode(IntEnum):
    """Errors of edgert's group: why the device refuses. The reply's "rsn" says it in words."""

    OK = 0
    BAD_REQUEST = 1
    BUSY = 2  # another push is going on
    BAD_MANIFEST = 3
    BAD_SIGNATURE = 4
    UNKNOWN_KEY = 5
    WRONG_TARGET = 6
    WRONG_DEVICE = 7
    OLD_COUNTER = 8
    EXPIRED = 9
    OLD_RUNTIME = 10
    NO_SPACE = 11
    BAD_STATE = 12
    BAD_OBJECT = 13
    CHECK_FAILED = 14
    NOTHING_TO_ROLL_BACK = 15
    DISK = 16
    NO_MODEL = 17
