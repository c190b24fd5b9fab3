"""The check of what was received, beside the loop that answers: hashes of whole objects, the package's format, and its
golden runs. All that needs the model to run happens in a process of its own, which may crash."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edgert.errors import EdgertError


class Verification:
    """Runs `check` in a thread; poll `done`. An error of edgert's, or of the system, is the reason in `failure`."""

    def __init__(self, check: Callable[[], None]) -> None:
        self.failure: Exception | None = None
        self._check = check
        # A daemon: an agent that is asked to end need not wait for a model that takes its time. Nothing of the check
        # counts before it is over, and the next push repeats it.
        self._thread = threading.Thread(target=self._run, name="edgert-verify", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._check()
        except (EdgertError, OSError) as error:
            self.failure = error
        except Exception as error:  # a fault of ours must not leave a push "verifying" for ever
            self.failure = EdgertError(f"a fault of edgert's own, {type(error).__name__}: {error}")

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> bool:
        self._thread.join(seconds)
        return self.done
