"""What the log counts, for Prometheus. No label names a person, filing or statement; witnesses are public."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from ledger.service.backlog import Backlog
from ledger.service.publisher import Publisher
from ledger.service.sequencer import Sequencer


@dataclass(frozen=True, slots=True)
class Metrics:
    """One registry per process."""

    registry: CollectorRegistry
    answered: Counter  # statements, by outcome
    witnessed: Counter  # submissions to witnesses, by witness and outcome
    alarms: Counter  # what somebody has to look at, by kind


@dataclass(frozen=True, slots=True)
class StandbyMetrics:
    """One registry per sequencer, for as long as it stands by."""

    registry: CollectorRegistry
    answers: Gauge  # whether the store does, which is what its place is taken in


def make_standby_metrics() -> StandbyMetrics:
    registry = _registry()
    _leads(registry).set(0)
    answers = Gauge("certledger_standby_store", "1 while the store answers who stands by", registry=registry)
    answers.set(1)
    return StandbyMetrics(registry, answers)


def make_metrics() -> Metrics:
    registry = _registry()
    return Metrics(
        registry,
        Counter("certledger_statements", "Statements answered", ["outcome"], registry=registry),
        Counter("certledger_witness_answers", "Submissions to witnesses", ["witness", "outcome"], registry=registry),
        Counter("certledger_alarms", "Things somebody has to look at", ["kind"], registry=registry),
    )


@dataclass(frozen=True, slots=True)
class FrontMetrics:
    """One registry per front."""

    registry: CollectorRegistry
    statements: Counter  # examined here, refusals too
    waited: Histogram  # s for the sequencer's answer, the search for one included; its count is that of the bodies


def make_front_metrics(backlog: Backlog) -> FrontMetrics:
    registry = _registry()
    wait = Gauge("certledger_front_wait_seconds", "Expected wait for examination", registry=registry)
    wait.set_function(lambda: backlog.wait_s)
    return FrontMetrics(
        registry,
        Counter("certledger_front_statements", "Statements examined", registry=registry),
        Histogram(
            "certledger_front_sequencer_seconds",
            "For the sequencer's answer",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15),
            registry=registry,
        ),
    )


def watch(metrics: Metrics, sequencer: Sequencer, publisher: Publisher, is_held: Callable[[], bool]) -> None:
    """Gauges that are read when somebody asks. `is_held`: whether nobody can have taken this process's place."""

    def gauge(name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=metrics.registry)

    _leads(metrics.registry).set_function(is_held)
    gauge("certledger_log_size", "Leaves").set_function(lambda: sequencer.integrator.size)
    gauge("certledger_pending", "Leaves committed and not published").set_function(lambda: publisher.pending)
    gauge("certledger_waiting", "Statements waiting").set_function(lambda: sequencer.waiting)
    gauge("certledger_wait_seconds", "Expected wait of what comes now").set_function(lambda: sequencer.backlog.wait_s)
    gauge("certledger_rate", "Statements a second when busy").set_function(lambda: sequencer.backlog.rate)
    gauge("certledger_stopped", "1 when the log must not sign").set_function(lambda: publisher.stopped is not None)
    gauge("certledger_disk_full", "1 while a disk has too little room").set_function(lambda: publisher.room.is_short)
    gauge("certledger_head_age_seconds", "Since the newest publication").set_function(lambda: publisher.age_s)
    gauge("certledger_last_batch_seconds", "Log time of the last batch").set_function(
        lambda: head.time / 1000 if (head := sequencer.integrator.head) else 0
    )


def _registry() -> CollectorRegistry:
    """With the figures of the process: memory, CPU, open files, when it began."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def _leads(registry: CollectorRegistry) -> Gauge:
    """The one gauge that leader and standby both have."""
    return Gauge("certledger_leads", "1 for the sequencer that leads the log", registry=registry)
