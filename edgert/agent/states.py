"""The states of a push, as STATUS tells them."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """idle -> (offer) receiving -> received -> (verify) verifying -> verified -> (activate) pending -> confirmed.

    `rejected` comes from receiving (a chunk that never is right) and verifying (the check failed); `reverted` from
    pending, when the trial loads were used up without a confirmation. A new offer leads from any state but verifying
    to receiving or received, whichever the device lacks objects for.
    """

    IDLE = "idle"
    RECEIVING = "receiving"
    RECEIVED = "received"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    PENDING = "pending"
    CONFIRMED = "confirmed"
    REVERTED = "reverted"
    REJECTED = "rejected"
