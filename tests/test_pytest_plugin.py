"""The fixture and the marker for tests of applications: the README's example as it stands, and how it can fail."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from otel_zdr.testing import CapturingSpanExporter, assert_metadata_kept, assert_no_content, canary
from tests.sdk.environments import ROOT, clean_environ

APP = """
def answer(question, *, tracer_provider):
    tracer = tracer_provider.get_tracer("app")
    with tracer.start_as_current_span("chat", attributes={"gen_ai.usage.input_tokens": 7}) as span:
        span.set_attribute("gen_ai.prompt.0.content", question)
        span.add_event("gen_ai.user.message", {"content": question})
"""
#: An application that does not use what it is given.
UNWIRED = APP.replace("tracer_provider.get", "TracerProvider().get").replace(
    "def answer", "from opentelemetry.sdk.trace import TracerProvider\n\ndef answer"
)
NO_GATE = "import otel_zdr\notel_zdr.install = lambda settings=None: None\n"


def example() -> str:
    """The test that the README shows."""
    (found,) = re.findall(
        r"```python\n(.*?)```",
        (ROOT / "README.md").read_text(encoding="utf-8").partition("## In your own tests")[2],
        re.DOTALL,
    )
    return str(found)


def run(folder: Path, test: str, app: str = APP, conftest: str = "") -> str:
    """What pytest says of the test of an application."""
    (folder / "app.py").write_text(app)
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_app.py").write_text(test)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), "."],
        cwd=folder,
        env=clean_environ(),
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_the_readmes_example_holds(tmp_path: Path) -> None:
    assert "1 passed" in run(tmp_path, example())


def test_the_readmes_example_fails_where_the_gate_does_not_hold(tmp_path: Path) -> None:
    said = run(tmp_path, example(), conftest=NO_GATE)
    assert "1 failed" in said
    assert re.search(r"text 0 of \d+ characters was found in \d+ exported bytes", said)


def test_the_readmes_example_fails_where_nothing_reached_the_exporter(tmp_path: Path) -> None:
    said = run(tmp_path, example(), app=UNWIRED)
    assert "1 failed" in said
    assert "nothing was exported" in said
    assert "provider" in said.partition("nothing was exported")[2]


def test_a_test_without_a_canary_fails_and_says_what_to_do(tmp_path: Path) -> None:
    without = example().replace('zdr.canary("prompt")', '"a question"')
    assert without != example()
    said = run(tmp_path, without)
    assert "1 failed" in said
    assert "make one with canary()" in said


@pytest.mark.parametrize(
    ("call", "holds"),
    [
        ("zdr.assert_no_content('a question', may_be_empty=True)", True),
        ("zdr.assert_no_content(may_be_empty=True)", True),
        ("zdr.assert_no_content('a question')", False),
        ("zdr.canary(); zdr.assert_no_content()", False),
        ("zdr.assert_no_content()", False),
        ("zdr.assert_metadata_kept()", False),
    ],
)
def test_nothing_exported_passes_only_where_it_is_meant(tmp_path: Path, call: str, holds: bool) -> None:
    said = run(tmp_path, f"def test_it(zdr):\n    {call}\n")
    assert ("1 passed" if holds else "1 failed") in said


def test_the_assertions_need_something_to_tell_by() -> None:
    text = canary()
    assert_no_content(b"clean", [text])
    for data, texts in ((b"", [text]), (b"clean", []), (b"", [])):
        with pytest.raises(AssertionError, match="may_be_empty=True"):
            assert_no_content(data, texts)
        assert_no_content(data, texts, may_be_empty=True)
    with pytest.raises(AssertionError, match="was found"):
        assert_no_content(text.encode(), [text], may_be_empty=True)
    assert_metadata_kept(b"tokens 7", ["tokens"])
    with pytest.raises(AssertionError, match="no value to look for"):
        assert_metadata_kept(b"tokens 7", [])
    with pytest.raises(AssertionError, match="is missing"):
        assert_metadata_kept(b"tokens 7", ["model"])


def test_the_assertions_hold_without_assert_statements() -> None:
    """``python -O`` leaves those out."""
    code = (
        "from otel_zdr.testing import assert_no_content\n"
        "try: assert_no_content(b'a text', ['a text'])\n"
        "except AssertionError: print('failed')\n"
    )
    done = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "failed\n"


def test_an_exporter_that_was_cleared_has_exported_nothing() -> None:
    exporter = CapturingSpanExporter()
    exporter.requests.append(b"clean")
    assert_no_content(exporter.data, [canary()])
    exporter.clear()
    with pytest.raises(AssertionError, match="nothing was exported"):
        assert_no_content(exporter.data, [canary()])
