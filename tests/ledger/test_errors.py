"""The four failures, and the words that the world's have for people."""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.errors import (
    Damaged,
    Malformed,
    Unavailable,
    Unverified,
    cannot,
    cannot_create,
    cannot_read,
    cannot_write,
    unforeseen,
)
from ledger.text import Text

WHAT = Text("账本没有应答", "the ledger does not answer")


def test_what_the_world_did_is_said_in_both_languages_or_not_at_all() -> None:
    with pytest.raises(AssertionError, match="both languages"):
        Unavailable("the ledger does not answer")  # type: ignore[arg-type]
    assert Unavailable(WHAT).what == WHAT and str(Unavailable(WHAT)) == WHAT.en


def test_others_read_only_what_is_public() -> None:
    """It may name paths and addresses."""
    assert Unavailable(WHAT).text is None
    assert Unavailable(WHAT, public=True).text == WHAT


def test_it_comes_whole_out_of_another_process() -> None:
    error = Unavailable(WHAT, retry_after=7, public=True)
    there = pickle.loads(pickle.dumps(error))
    assert (there.what, there.retry_after, there.text) == (WHAT, 7, WHAT)


@pytest.mark.parametrize("kind", [Malformed, Unverified])
def test_what_a_person_wrote_is_told_in_both_languages_and_a_form_in_one(kind: type[Malformed | Unverified]) -> None:
    said = kind(WHAT)
    assert (str(said), said.text, said.both()) == (WHAT.en, WHAT, WHAT.both())
    assert (said.of("zh"), said.of("en")) == (WHAT.zh, WHAT.en)
    form = kind("note: a control character")
    assert form.text is None and {str(form), form.both(), form.of("zh"), form.of("en")} == {"note: a control character"}
    assert pickle.loads(pickle.dumps(said)).text == WHAT


def test_a_damaged_store_is_told_in_both_languages_or_not_at_all() -> None:
    with pytest.raises(AssertionError, match="both languages"):
        Damaged("store: an entry is missing")  # type: ignore[arg-type]
    assert Damaged(WHAT).both() == WHAT.both()


def failure(number: int, filename: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), filename)


@pytest.mark.parametrize("make", [cannot_read, cannot_write, cannot_create])
def test_a_file_is_named_and_why(make: Callable[[object, OSError], Unavailable]) -> None:
    said = make(Path("log/keys.json"), failure(errno.EACCES)).what
    assert "log/keys.json" in said.zh and said.zh.endswith("没有权限")
    assert "log/keys.json" in said.en and said.en.endswith("Permission denied")


def test_a_rare_cause_is_in_the_words_of_the_system() -> None:
    said = cannot(Text("无法打开", "cannot open"), failure(errno.ELOOP)).what
    assert said == Text(f"无法打开：{os.strerror(errno.ELOOP)}", f"cannot open: {os.strerror(errno.ELOOP)}")
    assert cannot(Text("无法打开", "cannot open"), OSError()).what.en == "cannot open: OSError"


def test_where_no_message_was_due_the_file_is_named_all_the_same() -> None:
    assert unforeseen(failure(errno.ENOSPC, "out.pdf")).what == Text(
        "out.pdf：磁盘已满", "out.pdf: No space left on device"
    )
    assert unforeseen(failure(errno.ENOSPC)).what.zh == "输入或输出失败：磁盘已满"
