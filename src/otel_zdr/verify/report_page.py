"""The report as one HTML page: no script, nothing loaded, every text escaped.

All text of the telemetry goes through :func:`text`; all numbers are made here. The page's content security
policy allows its own style, by hash, and nothing else, so that even a mistake here could not run anything.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from itertools import groupby

from otel_zdr.verify.report import UNIDENTIFIED, Group, Report
from otel_zdr.verify.report_plot import plots
from otel_zdr.verify.report_text import moment, number, text


def render(report: Report, files: Sequence[str], made: datetime) -> str:
    """The whole page.

    Args:
        report: what was summed up.
        files: the names of what was read.
        made: when; shown in UTC.
    """
    with open(os.path.join(os.path.dirname(__file__), "report.css"), encoding="utf-8") as file:
        style = file.read()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return "".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<meta name="referrer" content="no-referrer">\n',
            f"<title>Zero data retention: evidence</title>\n<style>{style}</style>\n</head>\n",
            "<body>\n<main>\n",
            _head(report),
            _notes(report),
            plots(report),
            _table(report),
            _versions(report),
            _measured(report),
            _foot(files, made),
            "</main>\n</body>\n</html>\n",
        ]
    )


def _workspace(id_: str) -> str:
    return text(id_) if id_ else f'<span class="soft">{UNIDENTIFIED}</span>'


# --- the top


def _head(report: Report) -> str:
    groups = report.groups
    begin, end = report.seen.span
    period = f"{moment(begin)} to {moment(end)} UTC" if end else "no times in the data"
    figures = [
        ("spans and log records", number(report.items), ""),
        ("workspaces", number(len({group.workspace for group in groups if group.workspace})), ""),
        ("redacted", number(report.redacted), ""),
        ("values removed", number(report.values), ""),
        ("not covered", number(report.not_covered), ""),
        ("reduced to a skeleton", number(report.failsafe), "bad" if report.failsafe else ""),
    ]
    cells = "".join(
        f'<div><dt>{name}</dt><dd class="{mark}">{value}</dd></div>'
        if mark
        else f"<div><dt>{name}</dt><dd>{value}</dd></div>"
        for name, value, mark in figures
    )
    return (
        f'<h1>Zero data retention: evidence</h1>\n<p class="soft">{period}</p>\n'
        f'<dl class="figures">{cells}</dl>\n'
    )


def _notes(report: Report) -> str:
    notes = [
        f"Workspace <b>{text(id_)}</b> is named by no list or policy; "
        + (
            "what holds for anybody else puts it under ZDR."
            if report.is_under_zdr(id_)
            else "it is not under ZDR."
        )
        for id_ in report.unnamed
    ]
    notes += [
        f"{number(count)} of the items of <b>{_workspace(id_)}</b>, which the policy "
        f"in force ({text(report.policy_version)}) puts under ZDR, carry no mark of redaction."
        for id_, count in sorted(report.without_mark.items())
    ]
    if not notes:
        return ""
    shown, hidden = notes[:200], len(notes) - 200
    if hidden > 0:
        shown.append(f"{number(hidden)} more.")
    return '<ul class="notes">' + "".join(f"<li>{note}</li>" for note in shown) + "</ul>\n"


# --- the tables


def _table(report: Report) -> str:
    groups = report.groups
    if not groups:
        return "<h2>By workspace and product</h2>\n<p>There are no spans or log records in these files.</p>\n"
    rows = []
    for workspace, several in groupby(groups, key=lambda group: group.workspace):
        products = list(several)
        first = f'<td rowspan="{len(products)}">{_workspace(workspace)}</td>'
        for group in products:
            rows.append(f"<tr>{first}{_cells(group)}</tr>\n")
            first = ""
    return (
        '<h2>By workspace and product</h2>\n<div class="scroll"><table>\n<thead><tr>'
        '<th>Workspace</th><th>Product</th><th class="n">Seen</th><th class="n">Redacted</th>'
        "<th>Values removed</th><th>Coverage</th><th>Policy versions</th></tr></thead>\n<tbody>\n"
        + "".join(rows)
        + "</tbody></table></div>\n"
    )


def _cells(group: Group) -> str:
    seen = _parts(group.seen.items(), plural=True)
    failed = (
        f'<span class="part bad">{number(group.failsafe)} skeleton{"s" if group.failsafe != 1 else ""}</span>'
        if group.failsafe
        else ""
    )
    reasons = sorted(group.reasons.items(), key=lambda item: -item[1])
    coverage = _parts((status, count) for status, count in group.coverage.items() if status != "not_covered")
    coverage += "".join(
        f'<span class="part">{number(count)} not covered<b>: {text(reason).replace("-", " ")}</b></span>'
        for reason, count in reasons
    )
    nothing = '<span class="soft">none</span>'
    return (
        f"<td>{text(group.product) if group.product else '<span class=soft>not recognised</span>'}</td>"
        f'<td class="n">{seen}</td><td class="n">{number(group.redacted)}{failed}</td>'
        f"<td>{_parts(group.removed.most_common()) or nothing}</td>"
        f"<td>{coverage or nothing}</td>"
        f"<td>{_parts(group.versions.items(), number_first=False) or nothing}</td>"
    )


def _parts(counts: Iterable[tuple[str, int]], *, number_first: bool = True, plural: bool = False) -> str:
    parts = []
    for name, count in counts:
        shown = text(name).replace("_", " ") + ("s" if plural and count != 1 else "")
        if number_first:
            parts.append(f'<span class="part">{number(count)} <b>{shown}</b></span>')
        else:
            parts.append(f'<span class="part">{shown} <b>({number(count)})</b></span>')
    return "".join(parts)


def _versions(report: Report) -> str:
    if not report.versions:
        return ""
    rows = "".join(
        f"<tr><td>{text(version)}</td><td>{moment(first // 10**9)}</td>"
        f"<td>{moment(last // 10**9)}</td></tr>\n"
        for version, (first, last) in sorted(report.versions.items(), key=lambda item: item[1])
    )
    return (
        '<h2>Policy versions</h2>\n<div class="scroll"><table>\n<thead><tr><th>Version</th>'
        f"<th>First seen (UTC)</th><th>Last seen (UTC)</th></tr></thead>\n<tbody>\n{rows}"
        "</tbody></table></div>\n"
    )


def _measured(report: Report) -> str:
    measured = report.measured()
    if not measured:
        return ""
    rows = "".join(
        f"<tr><td>{text(content_class).replace('_', ' ')}</td><td>{text(signal)}</td><td>{text(product)}</td>"
        f'<td class="n">{number(value)}</td></tr>\n'
        for content_class, signal, product, value in measured[:1000]
    )
    return (
        "<h2>Counted by the processes themselves</h2>\n"
        '<p class="soft">The metric zdr.removed.values, over all workspaces; it also counts what was removed '
        "from measurements and from items that were never exported.</p>\n"
        '<div class="scroll"><table>\n<thead><tr><th>Class</th><th>Signal</th><th>Product</th>'
        '<th class="n">Values</th>'
        f"</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )


def _foot(files: Sequence[str], made: datetime) -> str:
    shown = ", ".join(text(name) for name in files[:20]) + (
        f" and {len(files) - 20} more" if len(files) > 20 else ""
    )
    when = made.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M")
    return (
        f"<footer><p>Read from {shown} on {when} UTC. One value is one attribute, name, description or body. "
        "An item of several workspaces counts for each of them. The page holds counts only: no value, no "
        "hash of one, no length.</p></footer>\n"
    )
