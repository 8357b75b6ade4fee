"""Text for the report's page: escaped, visible, bounded."""

from __future__ import annotations

import html
import unicodedata
from datetime import datetime, timezone

_MAX_TEXT = 200


def text(value: str) -> str:
    """Untrusted text for any place of the page: no markup, nothing invisible, bounded."""
    shown = "".join(
        sign if sign == " " or unicodedata.category(sign)[0] not in "CZ" else "·"
        for sign in value[: _MAX_TEXT + 1]
    )
    if len(shown) > _MAX_TEXT:
        shown = shown[: _MAX_TEXT - 1] + "…"
    return html.escape(shown, quote=True)


def number(value: int) -> str:
    return f"{value:,}"


def moment(seconds: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime(form)
