"""The submissions of one request, taken apart before they are decoded: one after the other is decoded, examined and
packed, and none has left the processor's caches before its turn."""

from __future__ import annotations

import msgspec

from ledger.errors import Malformed
from ledger.wire import MAX_SUBMISSIONS, SubmissionBody, SubmitRequest, decode

# As fields they end at the last one that a request may hold: a list would be made of all the millions of numbers that
# fit into a body, and then be found too long.
_RawSubmissions = msgspec.defstruct(
    "_RawSubmissions",
    [(f"at{place}", msgspec.Raw, msgspec.Raw()) for place in range(MAX_SUBMISSIONS)],
    array_like=True,
    forbid_unknown_fields=True,
)
_RawSubmitRequest = msgspec.defstruct(
    "_RawSubmitRequest", [("submissions", _RawSubmissions)], forbid_unknown_fields=True
)
_MEMBER = b'"submissions"'


def split_submissions(raw: bytes) -> list[msgspec.Raw]:
    """The submissions of one request, at least one and at most MAX_SUBMISSIONS, for `decode_submission`. Raises
    Malformed."""
    (listed,) = msgspec.structs.astuple(decode(raw, _RawSubmitRequest))
    submissions = [submission for submission in msgspec.structs.astuple(listed) if submission]
    if not submissions:
        raise Malformed(f"between 1 and {MAX_SUBMISSIONS} submissions in a request")
    if raw.count(_MEMBER) != 1 or b"\\" in raw:  # the member may come twice: the first one counts for nothing, unread
        decode(raw, SubmitRequest)
    return submissions


def decode_submission(raw: msgspec.Raw, at: int) -> SubmissionBody:
    """Number `at` of them, from 0. Raises Malformed."""
    return decode(raw, SubmissionBody, f"$.submissions[{at}]")
