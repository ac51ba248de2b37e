"""What a person is told about papers and the map auditor's line: that they wait for it, and which go without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from issuer.config import LogTrust
from issuer.console.terminal import progress, tell
from issuer.proofs import LINE_S, Watch, without_line
from ledger.progress import Progress
from ledger.records.evidence import Evidence
from ledger.text import Text

_LABEL = Text("等待审计员签署（秒）", "waiting for the auditor (s)")
_WAITING = Text(
    "{n} 份证明尚无状态审计员的签署，最多等 {s} 秒",
    "{n} proofs have no map auditor's line yet; waiting at most {s} s",
)
_WITHOUT = Text(
    "以下 {n} 份证明没有状态审计员的签署，没有副本的核验方离线时会显示“签名真实，状态未知”；"
    "稍后用 cert-issuer print --number 编号 逐张重印即可补上（不带 --number 会重印全部）：{numbers}",
    "these {n} proofs have no map auditor's line: a verifier without a replica says offline that the signature is "
    "genuine and the status unknown. `cert-issuer print --number NUMBER` later prints one with it (without --number "
    "everything is printed again): {numbers}",
)


@contextmanager
def told_waiting(*, quiet: bool) -> Iterator[Watch]:
    """Says so when papers begin to wait, and how long they have."""
    with ExitStack() as stack:
        bar: Progress | None = None

        def watch(papers: int, seconds: float) -> None:
            nonlocal bar
            if bar is None:
                if not quiet:
                    tell(_WAITING.format(n=papers, s=LINE_S).both())
                bar = stack.enter_context(progress(LINE_S, _LABEL, quiet=quiet))
            bar.advance(min(int(seconds), LINE_S) - bar.done)

        yield watch


def tell_without(evidence: Mapping[str, Evidence], trust: LogTrust) -> list[str]:
    """The numbers of papers without a line, which a person is told on stderr."""
    numbers = without_line(evidence, trust)
    if numbers:
        tell(_WITHOUT.format(n=len(numbers), numbers=" ".join(numbers)).both())
    return numbers
