"""The files in docs/patroni fit together and keep what docs/operating.md says of them, and the drill moves all of them
to ports and folders of its own. That they work, scripts/patroni-drill shows, with the real programs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from campaigns.patroni import FILES, NAMES, Nodes
from ledger.store.postgres_link import Deadlines, parse_place
from tests.support.live_ledger import ROOT
from tests.support.postgres import needed

GUIDE = (ROOT / "docs" / "operating.md").read_text("utf-8")
SECTION = GUIDE[GUIDE.index("### With Patroni") :].partition("\n## ")[0]
THEIRS = {port: port for port in (2379, 2380, 5000, 5432, 5433, 8008, 8009)}


@dataclass
class Files:
    etcd: dict[str, Any]
    haproxy: dict[str, list[str]]  # by section: lines
    nodes: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path, *nodes: str) -> Files:
        sections: dict[str, list[str]] = {}
        for line in (folder / "haproxy.cfg").read_text("utf-8").splitlines():
            if line and not line.startswith("#"):
                if not line.startswith(" "):
                    sections[line] = lines = []
                else:
                    lines.append(line.strip())
        made = [yaml.safe_load((folder / name).read_text("utf-8")) for name in nodes]
        return cls(yaml.safe_load((folder / "etcd.yml").read_text("utf-8")), sections, made)

    def check(self, ports: dict[int, int]) -> None:
        """Every address is one of loopback at the port that `ports` has for it, and both ends name the same."""
        etcd = f"http://127.0.0.1:{ports[2379]}", f"http://127.0.0.1:{ports[2380]}"
        urls = [self.etcd[name] for name in ("listen-client-urls", "listen-peer-urls")]
        assert urls == list(etcd)
        assert [self.etcd[f"{name}-urls"] for name in ("advertise-client", "initial-advertise-peer")] == urls
        assert self.etcd["initial-cluster"] == f"{self.etcd['name']}={etcd[1]}"
        primary = self.haproxy["listen primary"]
        assert f"bind 127.0.0.1:{ports[5000]}" in primary
        servers = [line for line in primary if line.startswith("server ")]
        wanted = zip(NAMES, (5432, 5433), (8008, 8009), strict=True)
        assert servers == [
            f"server {name} 127.0.0.1:{ports[port]} check port {ports[api]}" for name, port, api in wanted
        ]
        assert [node["name"] for node in self.nodes] == list(NAMES)[: len(self.nodes)]
        for node, server in zip(self.nodes, servers, strict=False):
            _, _, address, _, _, api = server.split()
            assert node["postgresql"]["listen"] == node["postgresql"]["connect_address"] == address
            assert node["restapi"]["listen"] == node["restapi"]["connect_address"] == f"127.0.0.1:{api}"
            assert node["etcd3"]["hosts"] == etcd[0].removeprefix("http://")


def test_the_files_name_each_other() -> None:
    files = Files.read(FILES, "patroni.yml")
    files.check(THEIRS)
    assert files.etcd["enable-grpc-gateway"] is True


def test_they_keep_what_the_guide_says() -> None:
    files = Files.read(FILES, "patroni.yml")
    (node,), primary = files.nodes, files.haproxy["listen primary"]
    dcs, postgres = node["bootstrap"]["dcs"], node["postgresql"]
    assert dcs["synchronous_mode"] is dcs["synchronous_mode_strict"] is True, "only what a standby has may be answered"
    assert dcs["postgresql"]["parameters"]["synchronous_commit"] == "on" and dcs["postgresql"]["use_pg_rewind"] is True
    assert {"encoding": "UTF8"} in node["bootstrap"]["initdb"], "no other is opened"
    assert all("`" + f"{name}: true`" in SECTION for name in ("synchronous_mode", "synchronous_mode_strict"))
    (seconds,) = re.findall(r"`ttl` is over \((\d+) s\)", SECTION)
    assert dcs["ttl"] == int(seconds) and dcs["loop_wait"] + 2 * dcs["retry_timeout"] <= dcs["ttl"], (
        "as Patroni demands"
    )
    assert dcs["ttl"] < Deadlines().settle, "the outcome of a commit is looked for longer than a takeover lasts"
    (address,) = re.findall(r"`(postgresql://[^`]+)`", SECTION)
    place = parse_place(address)
    assert place.hosts == (("127.0.0.1", 5000),) and place.require_standby
    assert {"option httpchk OPTIONS /primary", "http-check expect status 200"} <= set(primary)
    assert any("on-marked-down shutdown-sessions" in line for line in primary), "nobody stays with a former primary"
    assert all("clit" in line or "srvt" in line for line in files.haproxy["defaults"] if line.startswith("option"))
    assert all(line.split()[3:] == ["127.0.0.1/32", "scram-sha-256"] for line in postgres["pg_hba"]), "no trust"
    words = [each["password"] for each in postgres["authentication"].values()]
    assert len(set(words)) == 3 and all(word.startswith("change me") for word in words)


def test_the_drill_takes_no_port_or_folder_of_a_real_set_up(tmp_path: Path) -> None:
    needed()
    nodes = Nodes.make(tmp_path)
    assert not THEIRS.keys() & nodes.ports.values() and len(set(nodes.ports.values())) == len(THEIRS)
    files = Files.read(tmp_path, *(f"{name}.yml" for name in NAMES))
    files.check(nodes.ports)
    folders = [files.etcd["data-dir"]]
    for node in files.nodes:
        server = node["postgresql"]
        folders += [server["data_dir"], server["pgpass"], server["parameters"]["unix_socket_directories"]]
        assert (Path(server["bin_dir"]) / "initdb").exists()
    assert all(Path(folder).is_relative_to(tmp_path) for folder in folders)
    assert len(set(folders)) == len(folders) - 1, "only the sockets share one"
    text = "".join(path.read_text("utf-8") for path in tmp_path.iterdir())
    assert not re.search("|".join(rf"\b{port}\b" for port in THEIRS), text)
