"""Texts of errors for calls whose content may go out: without what gives access.

A provider's error repeats what was sent, and with it signed URLs and keys. Those stay out of telemetry
whatever the policy says.
"""

from __future__ import annotations

import re
import traceback
from typing import Any

REMOVED = "[removed]"

# Compiled with the first error of a call whose content may go out, for the sake of start-up.

# The scheme and host of a URL, its credentials, its path, and its query and fragment
_URL = r"""\b(\w[\w+.-]{0,15}://)([^\s/?#"'<>]*@)?([^\s?#"'<>]*)([?#][^\s"'<>]*)?"""
# What is given as the value of a name that announces a secret
_ANNOUNCED = (
    r"""(?i)\b(authorization|(?:x-|xi-)?api[-_ ]?key|secret|signature|password|credentials?)"""
    r"""(["']?\s*[:=]\s*["']?)(?:(?:bearer|basic|token)\s+)?[^\s"',;&)}\]]*[^\s"',;&.)}\]]"""
)
# What follows such a word at some distance, if it is no word itself: long, of letters and digits mixed
_NEARBY = (
    r"""(?i)(\b(?:key|token|secret|bearer|basic|signature|password|credentials?)\b[^\n\w]{1,4}(?:[a-z]+[^\n\w]{1,4}){0,3}?)"""
    r"""(?=[\w+/=.-]*\d)(?=[\w+/=.-]*[a-z])[\w+/=.-]{15,}[\w+/=-]"""
)
# Keys that vendors mark as such
_MARKED = r"\b(?:sk|gsk|pk|rk|xai|key|ww|eyJ)[-_][\w.*-]{4,}|\beyJ[\w-]{4,}\.[\w.-]+"


def safe_text(text: str) -> str:
    """`text` without queries, fragments and credentials of URLs, and without anything shaped like a key."""
    text = re.sub(_URL, _without_query, text)
    text = re.sub(_ANNOUNCED, rf"\1\2{REMOVED}", text)
    text = re.sub(_MARKED, REMOVED, text)
    return re.sub(_NEARBY, rf"\1{REMOVED}", text)


def _without_query(found: re.Match[str]) -> str:
    scheme, _, place, query = found.groups()
    return f"{scheme}{place}{'?' + REMOVED if query else ''}"


def safe_exception(error: BaseException) -> dict[str, Any]:
    """Attributes of an exception event in place of the SDK's own: message and stack trace without secrets."""
    attributes: dict[str, Any] = {"exception.message": safe_text(str(error))}
    formatted = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    for text in sorted(_texts(error), key=len, reverse=True):
        formatted = formatted.replace(text, safe_text(text))
    attributes["exception.stacktrace"] = formatted
    return attributes


def _texts(error: BaseException) -> set[str]:
    """The texts of an exception and of those it came from."""
    found: set[str] = set()
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        current = left.pop()
        if current is None or id(current) in seen or len(seen) > 64:
            continue
        seen.add(id(current))
        found.add(str(current))
        found.update(getattr(current, "__notes__", ()))
        left += [current.__cause__, current.__context__, *getattr(current, "exceptions", ())]
    return {text for text in found if text}
