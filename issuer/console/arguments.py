"""The command line of cert-issuer. Text for people on stdout, `--json` for programs, progress and errors on stderr."""

from __future__ import annotations

import argparse
from pathlib import Path

EPILOG = "exit status: 0 done, 1 refused or not clean, 2 usage or malformed input, 3 unavailable (try again)"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cert-issuer",
        description="签发职业技能等级证书 / issue vocational skill-grade certificates from a roster",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    keygen = _command(commands, "keygen", "生成密钥 / make the record key and the request key")
    keygen.add_argument("--label", default="", help="名称，写入密钥文件 / a name kept in the key files")
    keygen.add_argument("--light", action="store_true", help="演示用的轻量口令强化 / cheap key stretching, for demos")
    _passphrase(keygen)

    init = _command(commands, "init", "写入 issuer.toml / pin a log and a filing")
    init.add_argument("--ledger", required=True, metavar="URL", help="账本地址 / where the ledger answers")
    init.add_argument("--origin", required=True, help="日志名称 / name of the log")
    init.add_argument("--vkey", required=True, action="append", metavar="LINE", help="日志公钥 / log key; give both")
    init.add_argument(
        "--map-auditor", action="append", default=[], metavar="LINE",
        help="状态审计员公钥：证明等其签署 / a map auditor's key: papers wait for its line",
    )  # fmt: skip
    init.add_argument("--filing", required=True, metavar="NUMBER", help="备案号 / filing number")
    init.add_argument("--verify-url", required=True, metavar="URL", help="官方核验网址 / official verifying address")
    init.add_argument("--query-url", default="", metavar="URL", help="机构查询网址 / the body's own query page")
    init.add_argument(
        "--genesis", metavar="SHA256", help="第 0 条的摘要；不给则固定所见 / entry 0; without it, as seen now"
    )

    check = _command(commands, "check", "检查名单 / list every problem of a roster; signs nothing")
    _roster(check)
    check.add_argument("--offline", action="store_true", help="不问账本 / do not ask the ledger")
    _passphrase(check)

    issue = _command(commands, "issue", "签发名单 / sign, log, verify and print; run again to resume")
    _roster(issue)
    issue.add_argument("--out", type=Path, help="结果文件夹 / folder for the results")
    issue.add_argument("--skip-bad", action="store_true", help="跳过有错的行 / issue the clean rows, return the others")
    issue.add_argument("--yes", action="store_true", help="不再询问 / do not ask")
    issue.add_argument("--no-pdf", action="store_true", help="暂不印 PDF / no PDFs now; print makes them later")
    _passphrase(issue)

    issue.add_argument("--permit", type=Path, metavar="FILE", help="已入账的补录许可 / the late permit, logged")

    late = _command(commands, "late-permit", "起草超期名单并请求补录许可 / draft an old roster, ask for a late permit")
    _roster(late)
    late.add_argument("--reason", required=True, help="原因 / reason, in words or by its code")
    late.add_argument("--request", type=Path, required=True, metavar="FILE", help="请求 TOML / TOML for the authority")
    late.add_argument("--yes", action="store_true", help="不再询问 / do not ask")
    _passphrase(late)

    again = _command(commands, "print", "重印 PDF / print certificates again from the journal")
    again.add_argument("--out", type=Path, help="结果文件夹 / folder for the results")
    again.add_argument("--number", help="只印这个编号 / only this certificate")
    _passphrase(again)

    export = _command(commands, "export", "导出通用凭证 / Open Badges 3.0, VC 2.0, status lists, did.json")
    export.add_argument("--out", type=Path, help="结果文件夹 / folder for the results, as of issue")
    export.add_argument("--public", type=Path, metavar="DIR", help="待发布文件的文件夹 / folder for what is published")
    export.add_argument("--number", help="只导出这个编号 / this certificate only, and no lists")
    export.add_argument(
        "--fields",
        metavar="LIST",
        help="写入的个人信息：name,document,scores,photo 或 none，缺省 name / of the person; without it, the name",
    )
    export.add_argument("--sd-jwt", action="store_true", help="另做 SD-JWT VC（草案）/ SD-JWT VC too, still a draft")
    export.add_argument("--public-only", action="store_true", help="只更新待发布文件 / only what is published")
    export.add_argument("--again", action="store_true", help="已有的也重做 / make again what is there")
    _passphrase(export)

    for name, about in (("suspend", "暂停证书"), ("restore", "恢复证书"), ("revoke", "撤销证书")):
        ruling = _command(
            commands, name, f"{about} / {name} certificates: a sheet, one number, or a stretch of the log"
        )
        _act(ruling)
        _reason(ruling)
        ruling.add_argument(
            "--range", nargs=2, type=int, metavar=("FIRST", "LAST"), help="日志序号，含首尾 / log indexes, inclusive"
        )
        _passphrase(ruling)

    correct = _command(commands, "correct", "更正姓名或证件 / correct a name or ID document; both need the authority")
    _act(correct)
    correct.add_argument("--name", help="新姓名 / the new name")
    correct.add_argument("--document-type", metavar="TYPE", help="新证件类型 / type of the new document")
    correct.add_argument("--document", metavar="NUMBER", help="新证件号码 / number of the new document")
    _reason(correct)
    correct.add_argument("--signed", type=Path, metavar="FILE", help="主管部门签署的更正 / what the authority signed")
    correct.add_argument("--reissue", action="store_true", help="同时换发证书 / and reissue what was corrected")
    _passphrase(correct)

    reissue = _command(commands, "reissue", "换发证书 / a new code for the same certificate: lost paper, leaked code")
    _act(reissue)
    _passphrase(reissue)

    appoint = _command(commands, "appoint", "评聘特级技师、首席技师 / appoint to posts, from a sheet")
    _act(appoint, sheet_only=True)
    appoint.add_argument("--photos", type=Path, metavar="DIR", help="照片 / <ID or number>.jpg")
    _passphrase(appoint)

    key = _command(commands, "key", "停用或作废本机构密钥 / a key of this body is retired or compromised")
    key.add_argument("state", choices=("retired", "compromised"))
    key.add_argument("--key", default="record", help="record、request 或公钥 / which; without it, the record key")
    _questions(key)
    _passphrase(key)

    pack = _command(commands, "publish-pack", "公布本单位薪酬规则包 / publish the digest of your wage table")
    pack.add_argument("--id", required=True, help="规则包名称 / name of the pack")
    pack.add_argument("--version", required=True, help="版本 / version")
    pack.add_argument("--digest", required=True, metavar="SHA256", help="规则包的摘要 / SHA-256 of the pack")
    pack.add_argument("--first-day", required=True, metavar="YYYY-MM-DD", help="首日 / first day")
    pack.add_argument("--last-day", default="", metavar="YYYY-MM-DD", help="末日，可空 / last day; may be left out")
    _passphrase(pack)

    end = _command(commands, "end-appointment", "结束聘任 / end appointments; the date is the last day in the post")
    _act(end)
    _reason(end)
    _passphrase(end)

    status = _command(commands, "status", "各批状态 / batches and their states")
    _passphrase(status)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, about: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=about, description=about, epilog=EPILOG)
    command.add_argument("--dir", type=Path, required=True, help="本机构的文件夹 / the issuer's folder")
    command.add_argument("--json", action="store_true", help="为程序输出 JSON / JSON for programs")
    return command


def _roster(command: argparse.ArgumentParser) -> None:
    command.add_argument("roster", type=Path, metavar="ROSTER", help="名单，xlsx 或 CSV / xlsx or CSV")
    command.add_argument("--photos", type=Path, metavar="DIR", help="照片，以证件号或证书编号命名 / <ID or number>.jpg")


def _act(command: argparse.ArgumentParser, *, sheet_only: bool = False) -> None:
    command.add_argument(
        "--from", dest="sheet", type=Path, metavar="SHEET", required=sheet_only, help="xlsx 或 CSV / xlsx or CSV"
    )
    if not sheet_only:
        command.add_argument("--number", help="只处理这个证书编号 / this certificate only")
    _questions(command)


def _questions(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, help="结果文件夹 / folder for the results")
    command.add_argument("--skip-bad", action="store_true", help="跳过有错的行 / do the clean rows, return the others")
    command.add_argument("--yes", action="store_true", help="不再询问 / do not ask")
    command.add_argument("--again", action="store_true", help="办过也再办 / do it again although it was done before")
    command.add_argument("--no-pdf", action="store_true", help="暂不印 PDF / no PDFs now; print makes them later")


def _reason(command: argparse.ArgumentParser) -> None:
    command.add_argument("--reason", help="原因，中英文或代码 / reason, in words or by its code")
    command.add_argument("--date", metavar="YYYY-MM-DD", help="生效日期，缺省今天 / effective date; without it, today")


def _passphrase(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--passphrase-file",
        type=Path,
        help="口令文件（或环境变量 CERT_ISSUER_PASSPHRASE）/ or the variable CERT_ISSUER_PASSPHRASE",
    )
