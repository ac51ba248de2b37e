"""cert-verifier: check certificates against one's own verified copy of the log, or of several.

    init    make the folder: trust settings and an empty replica
    add-log believe one more log
    sync    bring the replicas up to date
    check   judge one link, QR text, bundle, PDF, picture or text file; now, or as of an earlier day; or a receipt; or
            whether a tlog-proof or RFC 9942 receipt puts a statement into the log
    check-list   check a hiring list, or whether an answered one is as it was signed
    api-key      make, list and revoke API keys of HR systems
    receipt-key  make the key that signs receipts and the summaries of lists
    refresh put a newer proof into a holder's bundle or staple
    serve   follow the logs and answer over HTTP
    holder-requests  what holders ask to have corrected or erased
    site-store  make the store of accounts, shares and lists, or bring it up to date
    packs   check, list, compare and edit packs of rules; `eligible` decides on certificates
            (verifier/eligibility/console.py); `payroll` and `applications` decide whole sheets of people
    audit   replay a whole log and report; keep following and cosign as an auditor (verifier/audit/console.py)
    kit     make offline kits, to check printed codes without a network (verifier/kit/console.py)
    witness cosign the checkpoints of logs (a program of its own, with keys of its own)
    claims  reserve, pay, release and claw back benefits (a payer's program, with keys of its own)

Exit status of check: 0 valid, 1 not valid, 2 usage or malformed input, 3 could not tell. Of the others: 0 or 2, 3 when
the world did not answer, 1 when the log broke a rule.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from ledger.commands import Command, add_commands
from ledger.errors import Malformed, Refused, Unavailable, Unverified, unforeseen
from verifier.violation import exit_status, say_failure

_COMMANDS: Final = (
    Command("init", "初始化目录 / make a verifier's folder", "verifier.console.folder:add_init"),
    Command("add-log", "再信任一个日志 / believe one more log", "verifier.console.folder:add_add_log"),
    Command("sync", "更新本机副本 / bring the replica up to date", "verifier.console.sync:add_sync"),
    Command("check", "核验一张证书 / check one certificate", "verifier.console.check:add_check"),
    Command("serve", "提供网页核验 / serve the pages and the API", "verifier.console.serve:add_serve"),
    Command(
        "site-store",
        "建立或升级站点存储 / make the site's store, or bring it up to date",
        "verifier.console.folder:add_site_store",
    ),
    Command("audit", "审计整个日志 / audit a whole log"),
    Command(
        "holder-requests",
        "持证人的更正与删除申请 / what holders ask to have corrected or erased",
        "verifier.holders.console:add_holder_requests",
    ),
    Command(
        "refresh",
        "更新持证人文件中的证明 / put a newer proof into a holder's file",
        "verifier.console.refresh:add_refresh",
    ),
    Command(
        "witness", "为日志见证（联署检查点） / cosign the checkpoints of logs", "verifier.witness.console:add_witness"
    ),
    Command(
        "claims",
        "待遇申领：预留、支付、释放、追回 / reserve, pay, release, claw back",
        "verifier.claims.console:add_claims",
    ),
    Command("packs", "待遇规则包 / packs of rules", "verifier.eligibility.console:add_packs"),
    Command(
        "eligible",
        "凭证书判定待遇资格 / decide what a certificate entitles to",
        "verifier.eligibility.console:add_eligible",
    ),
    Command(
        "payroll", "按等级核算工资 / wages of a staff list by grade", "verifier.eligibility.batch.console:add_payroll"
    ),
    Command(
        "applications",
        "批量审核申领 / decide a sheet of applications",
        "verifier.eligibility.batch.console:add_applications",
    ),
    Command(
        "kit",
        "制作离线包 / make offline kits, to check printed codes without a network",
        "verifier.kit.console:add_kit",
    ),
    Command(
        "receipt-key",
        "核验回执的签名密钥 / the key that signs receipts and lists",
        "verifier.receipts.console:add_receipt_key",
    ),
    Command("api-key", "人事系统的 API 密钥 / API keys of HR systems", "verifier.access.console:add_api_key"),
    Command(
        "check-list",
        "核验名单 / check a hiring list, and get the same sheet back",
        "verifier.hiring.console:add_check_list",
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    os.umask(0o077)  # which certificates were looked up here is nobody else's business
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["audit"]:
            from verifier.audit.console import main as audit

            return audit(words[1:])
        options = _parser(words).parse_args(words)
        return int(options.run(options))
    except Refused as error:
        return _fail(error.text.both(), error)
    except Malformed as error:
        return _fail(f"格式不正确 / not well formed: {error.both()}", error)
    except Unverified as error:
        return _fail(say_failure(error), error)
    except Unavailable as error:
        return _fail(f"无法完成 / could not be done: {error.what.both()}", error)
    except OSError as error:
        return _fail(f"无法完成 / could not be done: {unforeseen(error).what.both()}", error)
    except KeyboardInterrupt:
        return 130


def _fail(message: str, error: Exception) -> int:
    print(f"cert-verifier: {message}", file=sys.stderr)
    return exit_status(error)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cert-verifier", description="核验职业技能等级证书 / check skill certificates"
    )
    add_commands(parser.add_subparsers(required=True, metavar="COMMAND"), _COMMANDS, words)
    return parser


if __name__ == "__main__":
    sys.exit(main())
