"""How rarely a process of the log looks for cycles among its objects, which a request makes many of and few cycles."""

from __future__ import annotations

import gc


def look_rarely() -> None:
    """What is alive now stays, and is not looked at again; what comes is, after every 300,000 objects.

    Looking after every 700 took a tenth of the time of admission and 1 to 2 of 74 us a certificate in an examining
    process; after every 50,000, which come and go with 1,500 statements in flight, a twentieth of the event loop's.
    """
    gc.freeze()
    gc.set_threshold(300_000, 20, 20)
