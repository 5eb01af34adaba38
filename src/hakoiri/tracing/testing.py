"""An in-memory stand-in for the exporter, for tests and for trying things out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hakoiri.tracing.spans import Kind, OpenSpan, Value
from hakoiri.tracing.trace_context import TraceContext


@dataclass
class MemorySpan:
    """A span as it was told; `ended_ns` is 0 if it ended without a time of its own."""

    name: str
    kind: Kind
    context: TraceContext
    parent: TraceContext | None
    is_remote: bool
    link: TraceContext | None
    told: dict[str, Value]
    start_ns: int | None = None
    error: str | None = None
    ended_ns: int | None = None

    def set(self, name: str, value: Value) -> None:
        """Keep it."""
        self.told[name] = value

    def rename(self, name: str) -> None:
        """Take the name."""
        self.name = name

    def fail(self, error_type: str) -> None:
        """Keep why."""
        self.error = error_type

    def end(self, *, end_ns: int | None = None) -> None:
        """Note that it is over."""
        self.ended_ns = end_ns or 0


@dataclass
class MemoryTracer:
    """Remembers all spans; ids are counted up. `records` says whether new traces are recorded."""

    spans: list[MemorySpan] = field(default_factory=list)
    records: bool = True

    def start(
        self,
        name: str,
        *,
        kind: Kind = "internal",
        parent: TraceContext | None = None,
        is_remote: bool = False,
        link: TraceContext | None = None,
        attributes: Mapping[str, Value] | None = None,
        start_ns: int | None = None,
    ) -> OpenSpan | None:
        """Begin a span, as a parent's sampling says."""
        if not (self.records if parent is None else parent.is_sampled):
            return None
        number = len(self.spans) + 1
        trace_id = f"{number:032x}" if parent is None else parent.trace_id
        made = MemorySpan(
            name=name,
            kind=kind,
            context=TraceContext(trace_id, f"{number:016x}"),
            parent=parent,
            is_remote=is_remote,
            link=link,
            told=dict(attributes or {}),
            start_ns=start_ns,
        )
        self.spans.append(made)
        return made

    def named(self, name: str) -> MemorySpan:
        """Return the one span of this name."""
        [found] = [span for span in self.spans if span.name == name]
        return found
