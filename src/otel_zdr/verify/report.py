"""Evidence summed up: what was seen for whom, what was removed, what is not covered and why.

Reads nothing but the attributes that the gate (or the Collector) wrote. The telemetry may come from
anywhere: names are taken as text, numbers only where they are numbers, and there are bounds on how many
different ones are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from otel_zdr.policy import evidence
from otel_zdr.policy.decision import Policy
from otel_zdr.verify.otlp import Item, LogRecord, Metric, Span

#: Shown for items that no workspace is known for.
UNIDENTIFIED = "unidentified"
#: Stands for what is beyond the bounds.
OTHERS = "(others)"

_COLLECTOR_REDACTED = "zdr.collector.redacted"
_MAX_GROUPS = 2000
_MAX_NAMES = 64
_MAX_TEXT = 128
_MAX_BUCKETS = 4096
_SECOND = 10**9
#: Nanoseconds: 2000-01-01 and 2100-01-01. A time beyond is a mistake, and would flatten the plot.
_EARLIEST, _LATEST = 946_684_800 * _SECOND, 4_102_444_800 * _SECOND


@dataclass(slots=True)
class Group:
    """What was seen for one workspace and one product ("" where none was recognised)."""

    workspace: str
    product: str
    seen: Counter[str] = field(default_factory=Counter)  # by signal: span, log
    redacted: int = 0
    failsafe: int = 0
    removed: Counter[str] = field(default_factory=Counter)  # values by content class
    coverage: Counter[str] = field(default_factory=Counter)  # items by coverage
    reasons: Counter[str] = field(default_factory=Counter)  # items by reason they are not covered
    versions: Counter[str] = field(default_factory=Counter)  # items by policy version

    @property
    def items(self) -> int:
        return sum(self.seen.values())

    def as_dict(self) -> dict[str, Any]:
        return {
            "workspace": self.workspace or None,
            "product": self.product or None,
            "seen": dict(self.seen),
            "redacted": self.redacted,
            "not_redacted": self.items - self.redacted,
            "failsafe": self.failsafe,
            "removed": dict(self.removed.most_common()),
            "coverage": dict(self.coverage),
            "not_covered_because": dict(self.reasons.most_common()),
            "policy_versions": dict(self.versions),
        }


class Timeline:
    """Counts over time in buckets of a power of two of seconds, coarser as more time is covered."""

    def __init__(self) -> None:
        self.width = 1  # seconds
        self.buckets: dict[int, Counter[str]] = {}

    def add(self, time: int, counts: Iterable[tuple[str, int]]) -> None:
        """Add counts at ``time``, in ns since the epoch."""
        if not _EARLIEST <= time <= _LATEST:
            return
        bucket = self.buckets.setdefault(time // (_SECOND * self.width), Counter())
        for name, count in counts:
            bucket[name] += count
        while len(self.buckets) > _MAX_BUCKETS:
            self.width *= 2
            merged: dict[int, Counter[str]] = {}
            for number, found in self.buckets.items():
                merged.setdefault(number // 2, Counter()).update(found)
            self.buckets = merged

    def regular(self, width: int) -> list[tuple[int, Counter[str]]]:
        """(start in seconds since the epoch, counts) of every bucket; they are at least ``width`` seconds."""
        width = max(width, self.width)
        merged: dict[int, Counter[str]] = {}
        for number, found in self.buckets.items():
            merged.setdefault(number * self.width // width, Counter()).update(found)
        if not merged:
            return []
        return [
            (number * width, merged.get(number, Counter())) for number in range(min(merged), max(merged) + 1)
        ]

    @property
    def span(self) -> tuple[int, int]:
        """The covered time in seconds since the epoch, (0, 0) if there is none."""
        if not self.buckets:
            return 0, 0
        return min(self.buckets) * self.width, (max(self.buckets) + 1) * self.width


class Report:
    """Sums up items one by one.

    ``workspace_keys`` name the workspace in attributes; ``policy`` decides which workspaces are named and
    which items should carry the mark.
    """

    def __init__(
        self, workspace_keys: Iterable[str], policy: Policy, *, names_everybody: bool = False
    ) -> None:
        self._keys = tuple(workspace_keys)
        self._policy = policy
        self._names_everybody = names_everybody
        self._groups: dict[tuple[str, str], Group] = {}
        self._series: dict[tuple[Any, ...], int] = {}
        self._workspaces: set[str] = set()
        self.policy_version = policy.version
        #: Items, and values removed from them, each counted once: an item may belong to several groups.
        self.items = self.redacted = self.failsafe = self.not_covered = self.values = 0
        self.without_mark: Counter[str] = Counter()
        self.seen = Timeline()
        self.removed = Timeline()
        self.versions: dict[str, tuple[int, int]] = {}

    def add(self, item: Item) -> None:
        """Add one span, log record or metric."""
        if isinstance(item, Metric):
            self._add_metric(item)
        else:
            self._add_item(item)

    @property
    def groups(self) -> list[Group]:
        """By workspace, then product; items of no known workspace last."""
        return sorted(
            self._groups.values(), key=lambda group: (not group.workspace, group.workspace, group.product)
        )

    @property
    def unnamed(self) -> list[str]:
        """The workspaces seen that no list or policy names."""
        if self._names_everybody:
            return []
        return sorted(id_ for id_ in self._workspaces if id_ and not self._policy.names(id_))

    def is_under_zdr(self, workspace: str) -> bool:
        """What the policy says now."""
        return self._policy.is_under_zdr(workspace)

    def measured(self) -> list[tuple[str, str, str, int]]:
        """What ``zdr.removed.values`` counted: (class, signal, product, values)."""
        totals: Counter[tuple[str, str, str]] = Counter()
        for (_, _, content_class, signal, product), value in self._series.items():
            totals[content_class, signal, product] += value
        return [(*names, value) for names, value in sorted(totals.items())]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        begin, end = self.seen.span
        return {
            "items": self.items,
            "redacted": self.redacted,
            "failsafe": self.failsafe,
            "not_covered": self.not_covered,
            "values_removed": self.values,
            "from": begin or None,
            "to": end or None,
            "policy_version_now": self.policy_version,
            "groups": [group.as_dict() for group in self.groups],
            "workspaces_no_list_or_policy_names": [
                {"workspace": id_, "under_zdr": self._policy.is_under_zdr(id_)} for id_ in self.unnamed
            ],
            "under_zdr_now_without_mark": {
                id_ or UNIDENTIFIED: n for id_, n in sorted(self.without_mark.items())
            },
            "policy_versions": {
                version: {"first_seen": first // _SECOND, "last_seen": last // _SECOND}
                for version, (first, last) in self.versions.items()
            },
            "measured": [
                {"class": content_class, "signal": signal, "product": product or None, "values": value}
                for content_class, signal, product, value in self.measured()
            ],
        }

    # items

    def _add_item(self, item: Span | LogRecord) -> None:
        self.items += 1
        signal = "span" if isinstance(item, Span) else "log"
        time = (item.end or item.start) if isinstance(item, Span) else item.time
        attributes = item.attributes
        redacted = attributes.get(evidence.REDACTED) is True or attributes.get(_COLLECTOR_REDACTED) is True
        failed = attributes.get(evidence.FAILSAFE) is True
        removed = evidence.parse_removed(attributes.get(evidence.REMOVED))
        product = _text(attributes.get(evidence.PRODUCT))
        status = _text(attributes.get(evidence.COVERAGE))
        reason = _text(attributes.get(evidence.COVERAGE_REASON))
        version = _text(attributes.get(evidence.POLICY_VERSION))
        self.redacted += redacted
        self.failsafe += failed
        self.not_covered += status == "not_covered"
        self.values += sum(removed.values())
        workspaces = self._workspaces_of(item)
        for workspace in workspaces or {""}:
            group = self._group(workspace, product)
            group.seen[signal] += 1
            group.redacted += redacted
            group.failsafe += failed
            for name, count in removed.items():
                _count(group.removed, name, count)
            if status:
                _count(group.coverage, status, 1)
            if status == "not_covered":
                _count(group.reasons, reason or "no reason given", 1)
            if version:
                _count(group.versions, version, 1)
        if not redacted and self._policy.decide(workspaces):
            for workspace in workspaces or {""}:
                if len(self.without_mark) < _MAX_GROUPS or workspace in self.without_mark:
                    self.without_mark[workspace] += 1
        self.seen.add(time, [("failsafe" if failed else "redacted" if redacted else "untouched", 1)])
        self.removed.add(time, removed.items())
        if version and _EARLIEST <= time <= _LATEST:
            first, last = self.versions.get(version, (time, time))
            if version in self.versions or len(self.versions) < _MAX_NAMES:
                self.versions[version] = min(first, time), max(last, time)

    def _workspaces_of(self, item: Span | LogRecord) -> frozenset[str]:
        from otel_zdr.workspaces import identify

        found: frozenset[str] = frozenset()
        for attributes in (item.attributes, item.resource.attributes):
            for key in self._keys:
                found |= identify(attributes.get(key))
        if len(self._workspaces) < _MAX_GROUPS:
            self._workspaces |= found
        return found

    def _group(self, workspace: str, product: str) -> Group:
        group = self._groups.get((workspace, product))
        if group is None:
            if len(self._groups) >= _MAX_GROUPS:
                workspace, product = OTHERS, OTHERS
            group = self._groups.setdefault((workspace, product), Group(workspace, product))
        return group

    # metrics

    def _add_metric(self, metric: Metric) -> None:
        if metric.name != evidence.REMOVED_VALUES:
            return
        resource = tuple(sorted((key, repr(value)) for key, value in metric.resource.attributes.items()))
        for point in metric.points:
            if type(point.value) is not int or not 0 <= point.value < 2**63:
                continue
            names = [
                _text(point.attributes.get(key))
                for key in (evidence.CLASS, evidence.SIGNAL, evidence.PRODUCT)
            ]
            # Cumulative points of a series share their start, and the highest counts; delta points do not.
            series = (hash(resource), point.start, *names)
            if series in self._series or len(self._series) < 100 * _MAX_GROUPS:
                self._series[series] = max(self._series.get(series, 0), point.value)


def _text(value: object) -> str:
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _count(counts: Counter[str], name: str, count: int) -> None:
    if name not in counts and len(counts) >= _MAX_NAMES:
        name = OTHERS
    counts[name] += count
