"""A witness over a real state file, the log it knows, and a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ledger.tlog.keys import Ed25519Signer, MlDsa44Signer
from tests.support.builders import octets
from tests.support.growing_log import TIME_S, GrowingLog
from verifier.witness.decide import Cosigner, Witness
from verifier.witness.state import Fork, WitnessState

ORIGIN = "log.example/growing"


@dataclass
class Bench:
    path: Path
    log: GrowingLog
    cosigner: Cosigner
    state: WitnessState
    now_s: int = TIME_S
    forks: list[Fork] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.witness = self.make()

    def make(self) -> Witness:
        logs = {self.log.origin: self.log.vkeys}
        return Witness(self.cosigner, logs, self.state, lambda: self.now_s, self.forks.append)

    def restart(self) -> None:
        self.state.close()
        self.state = WitnessState(self.path)
        self.witness = self.make()


def make_bench(path: Path, name: str = "witness.example/w") -> Bench:
    log = GrowingLog(ORIGIN)
    WitnessState.create(path)
    state = WitnessState(path)
    state.add_log(log.origin)
    cosigner = Cosigner(name, Ed25519Signer(octets("ed " + name, 32)), MlDsa44Signer(octets("ml " + name, 32)))
    return Bench(path, log, cosigner, state)
