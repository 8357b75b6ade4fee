"""Whatever is written to the policy file, in whatever order and however slowly, loosening has its rules."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from otel_zdr.errors import ConfigurationError
from otel_zdr.policy.decision import Policy
from otel_zdr.policy.document import Document, parse_policy
from otel_zdr.policy.reload import CONFIRMATIONS, PolicySource
from otel_zdr.settings import Settings

FINGERPRINT = "hmac-sha256:" + "0" * 64
TABLES = [
    "[organisation]\nzdr = false\n",
    '[organisation]\nzdr = false\nunidentified = "retain"\n',
    "[workspaces.a]\nzdr = true\n",
    "[workspaces.a]\nzdr = false\n",
    '[workspaces."a*"]\nzdr = true\nkeep_keys = ["acme.room"]\n',
    '[workspaces."*b"]\nzdr = true\nineligible = "retain"\n',
    "[products.tts]\nzdr = true\n",
    f'[api_keys]\n"{FINGERPRINT}" = "ab"\n',
]
IDS = [frozenset(ids) for ids in ((), ("a",), ("ab",), ("b",), ("c",), ("a", "c"))]

texts = st.builds(
    lambda version, tables: f"version = {version}\n" + "".join(tables),
    st.integers(1, 12),
    st.lists(st.sampled_from(TABLES), unique_by=lambda table: table.split("\n", 1)[0], max_size=4),
)
#: What is written (None: the file vanishes), where it is cut off if it is, and how often it is then read.
steps = st.tuples(st.none() | texts, st.none() | st.integers(0, 200), st.integers(1, CONFIRMATIONS + 2))


def parsed(text: str) -> Document | None:
    try:
        return parse_policy(text)
    except ConfigurationError:
        return None


def looser_for(new: Policy, old: Policy) -> list[frozenset[str]]:
    return [ids for ids in IDS if not new.terms(ids).at_least_as_strict_as(old.terms(ids))]


def key_tightens(policy: Policy) -> bool:
    return policy.everything or any(policy.is_under_zdr(id_) for id_ in policy.workspaces_of_key(FINGERPRINT))


def product_tightens(policy: Policy) -> bool:
    return policy.everything or policy.product_under_zdr("tts")


@hypothesis_settings(max_examples=150, deadline=None)
@given(texts, st.lists(steps, min_size=1, max_size=12))
def test_a_change_tightens_at_once_and_loosens_only_when_settled_and_above_all_that_was(
    first: str, changes: list[tuple[str | None, int | None, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "policy.toml")
        path.write_text(first)
        os.utime(path, (1, 1))  # an old file: it is not read twice at the start
        secret = path.with_suffix(".key")
        secret.write_bytes(b"x" * 32)
        secret.chmod(0o600)
        settings = Settings(policy_file=str(path), key_secret_file=str(secret))
        source = PolicySource(settings, poll_seconds=3600)
        source.close()  # its thread, which reads the file once or not at all before this returns
        _follow(source, path, first, changes)


def _follow(
    source: PolicySource, path: Path, first: str, changes: list[tuple[str | None, int | None, int]]
) -> None:
    #: All that was read and still counts against a loosening.
    counting = {first}
    held = source.current()
    written, unchanged = first, -1
    for text, cut, times in changes:
        content = text if text is None or cut is None else text[:cut]
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(content)
            path.chmod(0o600)
        if content != written:
            written, unchanged = content or "", -1
        document = parsed(content) if content is not None else None
        for _ in range(times):
            unchanged += 1
            before, held = held, source.poll()
            if content is not None:
                counting.add(content)
            if content is None or document is None:
                assert held is before
                continue
            # What tightens holds with the first reading.
            assert not is_looser(held, document)
            lifted_product = product_tightens(before) and not product_tightens(held)
            lifted_key = key_tightens(before) and not key_tightens(held)
            others = replaced(counting, content)
            if looser_for(held, before) or lifted_product or lifted_key:
                # The thread's one reading at its start may have been one more than ours.
                assert unchanged >= CONFIRMATIONS - 1
                for earlier in filter(None, map(parsed, others)):
                    # What is lifted was lifted above it, or never was in it.
                    assert earlier.version < document.version or not is_looser(held, earlier)
            if unchanged >= CONFIRMATIONS:
                # It has settled: what was its beginning is forgotten, and so is what is older than it.
                counting = {content} | {
                    other
                    for other in others
                    if any(earlier and earlier.version >= document.version for earlier in [parsed(other)])
                }


def replaced(counting: set[str], content: str) -> set[str]:
    """What counts beside the content of the file: not what may have been a beginning of it."""
    return {other for other in counting if not content.startswith(other)}


def is_looser(held: Policy, document: Document) -> bool:
    """Whether something of what a document tightens does not hold."""
    stated = Policy(document.rules())
    return (
        bool(looser_for(held, stated))
        or (product_tightens(stated) and not product_tightens(held))
        or (key_tightens(stated) and not key_tightens(held))
    )
