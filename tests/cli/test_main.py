"""The command ``otel-zdr`` itself: what it imports, its exit codes, what it prints when all is not well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from otel_zdr.cli import COMMANDS, main


def otel_zdr(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-m", "otel_zdr.cli", *arguments],
        env={**clean, **environ},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: otel-zdr {name}" in capsys.readouterr().out


def test_the_overview_names_every_subcommand_and_the_exit_codes() -> None:
    shown = otel_zdr("--help")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in COMMANDS)
    assert "exit codes" in shown.stdout


@pytest.mark.parametrize(
    "arguments",
    [(), ("no-such-command",), ("scan",), ("coverage", "--no-such-option"), ("coverage", "--product", "tts")],
)
def test_wrong_usage_is_exit_code_2_and_one_plain_line(arguments: tuple[str, ...]) -> None:
    shown = otel_zdr(*arguments)
    assert shown.returncode == 2
    assert shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1
    assert "Traceback" not in shown.stderr


def test_control_characters_of_arguments_do_not_reach_the_terminal() -> None:
    shown = otel_zdr("coverage", "--x\x1b[2J\x07\u202e")
    assert shown.returncode == 2
    assert not {"\x1b", "\x07", "\u202e"} & set(shown.stderr)


def test_a_file_that_is_not_there_is_exit_code_2(tmp_path: Path) -> None:
    shown = otel_zdr("scan", str(tmp_path / "no-such-file.json"))
    assert shown.returncode == 2
    assert shown.stderr.startswith("otel-zdr: ")


def test_bad_settings_are_exit_code_2_and_name_the_variable(tmp_path: Path) -> None:
    shown = otel_zdr("policy", "show", OTEL_ZDR_UNIDENTIFIED="perhaps")
    assert shown.returncode == 2
    assert "OTEL_ZDR_UNIDENTIFIED" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_defect_says_where_it_is_and_never_what_was_in_the_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = f"CANARY-{uuid.uuid4()}"

    def broken(args: object) -> int:
        raise RuntimeError(secret)

    monkeypatch.setattr("otel_zdr.cli.coverage.run", broken)
    assert main(["coverage"]) == 2
    said = capsys.readouterr().err
    assert "RuntimeError" in said
    assert "test_main.py" in said
    assert secret not in said


def test_output_that_nobody_reads_ends_quietly() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "otel_zdr.cli", "coverage", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 141
    assert said == b""


def test_a_subcommand_imports_nothing_of_the_others_or_of_the_sdk() -> None:
    code = (
        "import sys\n"
        "from otel_zdr.cli import main\n"
        "main(['coverage', '--json'])\n"
        "loaded = [name for name in sys.modules if name.startswith(('otel_zdr.cli.', 'opentelemetry.sdk'))]\n"
        "print(loaded, file=sys.stderr)"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    shown = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True
    )
    assert shown.stderr.strip() == "['otel_zdr.cli._terminal', 'otel_zdr.cli.coverage']" or set(
        json.loads(shown.stderr.replace("'", '"'))
    ) == {"otel_zdr.cli._terminal", "otel_zdr.cli.coverage"}
