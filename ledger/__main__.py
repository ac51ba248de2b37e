"""cert-ledger: run the log, check it, and make the authority's statements.

Exit codes: 0 done, 1 refused or something is wrong, 2 usage or malformed input, 3 something did not answer.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from ledger.commands import Command, add_commands
from ledger.errors import Malformed, Refused, Unavailable, Unverified, unforeseen

_COMMANDS: Final = (
    Command("init", "创建日志 / create a log", "ledger.console.operate:add_init"),
    Command("serve", "运行日志服务 / run the log", "ledger.console.operate:add_serve"),
    Command("next-keys", "生成下一对日志密钥 / make the log's next keys", "ledger.console.operate:add_next_keys"),
    Command(
        "passphrase",
        "更换密钥文件的口令 / another passphrase for a key file",
        "ledger.console.passphrase:add_passphrase",
    ),
    Command("catalogue", "职业目录 / the occupation catalogue", "ledger.console.operate:add_catalogue"),
    Command("fsck", "检查存储 / check the store", "ledger.console.storage:add_fsck"),
    Command(
        "migrate", "升级存储结构 / bring the store's schema up to this version", "ledger.console.storage:add_migrate"
    ),
    Command(
        "migrate-store",
        "复制到另一存储 / copy a store into an empty one of either kind",
        "ledger.console.storage:add_migrate_store",
    ),
    Command(
        "migrate-guard",
        "把签名守卫移入数据库 / move the signer guard into a database",
        "ledger.console.storage:add_migrate_guard",
    ),
    Command("backup", "备份 / write a checked copy of the store into one file", "ledger.console.storage:add_backup"),
    Command("restore", "恢复 / fill the folder's empty store from a backup", "ledger.console.storage:add_restore"),
    Command(
        "refill",
        "用副本补齐较旧的存储 / give an older store what it lacks from a copy of the log",
        "ledger.console.refill:add_refill",
    ),
    Command("export-tiles", "将日志导出为文件 / write the log out as files", "ledger.console.export:add_export_tiles"),
    Command("front", "运行前端进程 / run a front", "ledger.console.front:add_front"),
    Command("front-keys", "为前端生成密钥文件 / write the key file of a front", "ledger.console.front:add_front_keys"),
    Command(
        "verifier-token",
        "为核验方生成查询令牌 / make a token for a verifier's look-ups",
        "ledger.console.verifiers:add_verifier_token",
    ),
    Command(
        "erasure-key",
        "给出接收删除申请的公钥 / the key for which verifiers seal orders of erasure",
        "ledger.console.erasure:add_erasure_key",
    ),
    Command("erase", "删除个人信息 / erase what is kept of persons, as they asked", "ledger.console.erasure:add_erase"),
    Command("authority", "主管部门操作 / what the authority's people do", "ledger.console.authority:add_authority"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cert-ledger", description=__doc__)
    words = list(sys.argv[1:] if arguments is None else arguments)
    add_commands(parser.add_subparsers(dest="command", required=True), _COMMANDS, words)
    chosen = parser.parse_args(words)
    os.umask(0o077)  # keys, envelopes and the private index are for the operator only
    try:
        return int(chosen.run(chosen))
    except Refused as refusal:
        print(f"{refusal.code}: {refusal.text.both()} [{refusal.field}]", file=sys.stderr)
        return 1
    except Unverified as error:
        print(f"未通过验证 / does not verify: {error.both()}", file=sys.stderr)
        return 1
    except Malformed as error:
        print(f"格式不正确 / not well formed: {error.both()}", file=sys.stderr)
        return 2
    except Unavailable as error:
        print(f"无法完成 / could not be done: {error.what.both()}", file=sys.stderr)
        return 3
    except OSError as error:
        print(f"无法完成 / could not be done: {unforeseen(error).what.both()}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
