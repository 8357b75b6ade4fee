"""The policy file while it changes, is cut off, replaced, broken, made writable, and in forked processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_zdr.errors import ConfigurationError
from otel_zdr.policy.decision import Policy
from otel_zdr.policy.document import parse_policy
from otel_zdr.policy.reload import CONFIRMATIONS, PolicySource
from otel_zdr.settings import Settings

OPEN = "version = {version}\n[organisation]\nzdr = false\n"
CLINIC = OPEN + "[workspaces.clinic]\nzdr = true\n"
RICH = """\
version = {version}
[organisation]
zdr = false
[workspaces."clinic-*"]
zdr = true
keep_keys = ["acme.room"]
[workspaces.clinic-open]
zdr = false
[workspaces.studio]
zdr = false
[workspaces.ward]
inherit = "clinic-1"
[products.tts]
zdr = true
"""
IDS = ["", "clinic", "clinic-1", "clinic-open", "studio", "ward", "other"]


class File:
    """A policy file and a source that reads it only when told to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sources: list[PolicySource] = []

    def write(self, text: str | bytes) -> None:
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def source(self, *, poll_seconds: float = 3600, **more: object) -> PolicySource:
        settings = Settings(policy_file=str(self.path), **more)  # type: ignore[arg-type]
        source = PolicySource(settings, poll_seconds=poll_seconds)
        self._sources.append(source)
        return source

    def close(self) -> None:
        for source in self._sources:
            source.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    path = tmp_path / "policy.toml"
    path.touch(mode=0o600)
    made = File(path)
    yield made
    made.close()


def settle(source: PolicySource) -> Policy:
    """Read the file until it counts as unchanged."""
    for _ in range(CONFIRMATIONS + 1):
        source.poll()
    return source.current()


def wait_for(condition: Callable[[], bool], seconds: float) -> float:
    begin = time.perf_counter()
    while not condition():
        assert time.perf_counter() - begin < seconds
        time.sleep(0.01)
    return time.perf_counter() - begin


def under_zdr(policy: Policy) -> list[str]:
    return [id_ for id_ in IDS if policy.decide([id_] if id_ else [])]


def test_a_list_from_the_environment_never_changes() -> None:
    source = PolicySource(Settings(workspaces=("clinic",)))
    held = source.current()
    assert source.poll() is held
    assert held.is_under_zdr("clinic")
    source.close()


def test_a_bad_file_at_the_start_is_an_error(file: File) -> None:
    file.write("version = 1\n[organisation]\nzrd = true\n")
    with pytest.raises(ConfigurationError, match=r"organisation\.zrd"):
        file.source()


def test_tightening_holds_with_the_next_reading_whatever_the_version(file: File) -> None:
    file.write(OPEN.format(version=5))
    source = file.source()
    assert not source.current().is_under_zdr("clinic")
    file.write(CLINIC.format(version=4))
    assert source.poll().is_under_zdr("clinic")
    assert source.changes["tightened"] == 1


def test_loosening_holds_with_a_higher_version_once_the_file_has_settled(file: File) -> None:
    file.write(CLINIC.format(version=1))
    source = file.source()
    settle(source)
    file.write(OPEN.format(version=2))
    for _ in range(CONFIRMATIONS):
        assert source.poll().is_under_zdr("clinic")
    assert source.current().version == "1"
    assert not source.poll().is_under_zdr("clinic")
    assert source.current().version == "2"
    assert source.changes["loosened"] == 1


def test_a_file_that_keeps_changing_loosens_nothing(file: File) -> None:
    file.write(CLINIC.format(version=1))
    source = file.source()
    settle(source)
    for version in range(2, 50):
        file.write(OPEN.format(version=version))
        assert source.poll().is_under_zdr("clinic")
        assert not source.current().is_under_zdr("other")


@pytest.mark.parametrize("version", [1, 0])
def test_loosening_with_the_same_or_a_lower_version_never_holds(
    file: File, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(CLINIC.format(version=1))
    source = file.source()
    settle(source)
    file.write(OPEN.format(version=version))
    for _ in range(3):
        assert settle(source).is_under_zdr("clinic")
    assert source.changes["refused"] == 1
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    assert f"version {version} is not higher than 1" in caplog.text


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_loosens_nothing_until_they_cannot(
    file: File, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(CLINIC.format(version=1))
    source = file.source()
    settle(source)
    file.write(OPEN.format(version=2))
    file.path.chmod(mode)
    assert settle(source).is_under_zdr("clinic")
    assert settle(source).is_under_zdr("clinic")
    assert "its group or others can write it" in caplog.text
    file.path.chmod(0o644)
    assert not source.poll().is_under_zdr("clinic")
    assert source.changes == {"refused": 1, "loosened": 1}


def test_a_file_that_others_can_write_still_tightens(file: File) -> None:
    file.write(OPEN.format(version=1))
    file.path.chmod(0o666)
    source = file.source()
    file.write(CLINIC.format(version=1))
    assert source.poll().is_under_zdr("clinic")


def test_a_change_that_tightens_and_loosens_is_the_stricter_of_both_until_it_settles(file: File) -> None:
    file.write(
        "version = 1\n[organisation]\nzdr = false\n[workspaces.a]\nzdr = true\nkeep_keys = ['x', 'y']\n"
    )
    source = file.source()
    settle(source)
    file.write("version = 2\n[organisation]\nzdr = false\n[workspaces.b]\nzdr = true\n")
    held = source.poll()
    assert held.version == "2+1"
    assert held.is_under_zdr("a")
    assert held.is_under_zdr("b")
    held = settle(source)
    assert held.version == "2"
    assert not held.is_under_zdr("a")
    assert held.is_under_zdr("b")


def test_more_keys_to_keep_are_a_loosening_and_fewer_are_not(file: File) -> None:
    text = (
        "version = {version}\nversion_note = 1\n".replace("version_note = 1\n", "")
        + "[workspaces.a]\nkeep_keys = {keys}\n"
    )
    file.write(text.format(version=1, keys=["x", "y"]))
    source = file.source()
    settle(source)
    file.write(text.format(version=1, keys=["y", "z"]))
    assert source.poll().terms(frozenset({"a"})).keep_keys == {"y"}
    assert settle(source).terms(frozenset({"a"})).keep_keys == {"y"}
    file.write(text.format(version=2, keys=["y", "z"]))
    assert settle(source).terms(frozenset({"a"})).keep_keys == {"y", "z"}


def test_what_tightened_and_was_not_the_beginning_of_the_next_file_needs_a_higher_version_to_go(
    file: File,
) -> None:
    file.write(OPEN.format(version=1))
    source = file.source()
    settle(source)
    file.write(CLINIC.format(version=2))
    assert source.poll().is_under_zdr("clinic")
    for version, expected in ((1, True), (2, True), (3, False)):
        file.write(OPEN.format(version=version) + "# again\n" * version)
        assert settle(source).is_under_zdr("clinic") == expected


@pytest.mark.parametrize("old_version", [7, 6])
def test_a_file_written_slowly_holds_as_a_whole_in_the_end_and_lifts_nothing_meanwhile(
    file: File, old_version: int
) -> None:
    old, new = (
        RICH.format(version=old_version),
        RICH.format(version=7).replace("zdr = false", "zdr = true", 1),
    )
    file.write(old)
    source = file.source()
    before = under_zdr(settle(source))
    whole = under_zdr(Policy(parse_policy(new).rules()))
    for end in range(len(new) + 1):
        file.write(new[:end])
        assert set(before) <= set(under_zdr(source.poll())), end
    held = settle(source)
    assert set(before) | set(whole) == set(under_zdr(held))
    assert held.version == "7"


def test_no_truncation_lifts_anything_however_long_it_stays(file: File) -> None:
    whole = RICH.format(version=12)
    file.write(whole)
    source = file.source()
    before = settle(source)
    wanted = {id_: before.terms(frozenset({id_} if id_ else ())) for id_ in IDS}
    for end in range(len(whole)):
        file.write(whole[:end])
        held = settle(source)
        for id_, terms in wanted.items():
            assert held.terms(frozenset({id_} if id_ else ())).at_least_as_strict_as(terms), (end, id_)
        assert held.everything or held.product_under_zdr("tts")
    assert source.changes["loosened"] == 0


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"version = 1\n[organisation",
        b"\xff\xfe",
        b"version = 'x'",
        b"version = 9\n[workspaces.clinic]\nzdr = 0\n",
    ],
    ids=["empty", "cut", "binary", "wrong", "false"],
)
def test_a_bad_file_changes_nothing_and_is_reported_once(
    file: File, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(CLINIC.format(version=1))
    source = file.source()
    held = settle(source)
    file.write(bad)
    for _ in range(10):
        assert source.poll() is held
    assert source.changes["bad"] == 1
    assert len(caplog.records) == 1
    assert "goes on holding" in caplog.text
    file.write(CLINIC.format(version=1))
    assert under_zdr(settle(source)) == ["", "clinic"]


def test_a_vanished_file_changes_nothing_and_is_reported_once_each_time(
    file: File, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(CLINIC.format(version=1))
    source = file.source()
    held = settle(source)
    for times in (1, 2):
        file.path.unlink()
        for _ in range(5):
            assert source.poll() is held
        assert caplog.text.count("No such file or directory") == times
        file.write(CLINIC.format(version=1))
        file.path.chmod(0o600)
        assert settle(source) is held


def test_the_file_may_be_a_link_that_is_switched(file: File, tmp_path: Path) -> None:
    # This is how Kubernetes replaces a mounted ConfigMap.
    for name, text in (("a", CLINIC.format(version=1)), ("b", OPEN.format(version=2))):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644)
    file.path.unlink()
    file.path.symlink_to(tmp_path / "a")
    source = file.source()
    assert settle(source).is_under_zdr("clinic")
    (tmp_path / "next").symlink_to(tmp_path / "b")
    os.replace(tmp_path / "next", file.path)
    assert not settle(source).is_under_zdr("clinic")


def test_listeners_are_told_of_changes_and_cannot_break_anything(
    file: File, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(OPEN.format(version=1))
    source = file.source()
    told: list[tuple[str, str]] = []

    def broken(old: Policy, new: Policy) -> None:
        raise RuntimeError("CANARY")

    source.on_change(broken)
    source.on_change(lambda old, new: told.append((old.version, new.version)))
    settle(source)
    assert told == []
    file.write(CLINIC.format(version=2))
    settle(source)
    assert told == [("1", "2")]
    assert "RuntimeError" in caplog.text
    assert "CANARY" not in caplog.text


def test_reading_the_policy_takes_no_lock_and_gives_whole_policies(file: File) -> None:
    file.write(OPEN.format(version=1))
    source = file.source()
    stop = threading.Event()
    torn: list[str] = []

    def read() -> None:
        while not stop.is_set():
            held = source.current()
            if held.is_under_zdr("a") != held.is_under_zdr("b"):
                torn.append(held.version)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(2, 60):
        pair = "[workspaces.a]\nzdr = {0}\n[workspaces.b]\nzdr = {0}\n".format(
            "true" if version % 2 else "false"
        )
        file.write(OPEN.format(version=version) + pair)
        settle(source)
    stop.set()
    for thread in threads:
        thread.join()
    assert torn == []
    assert source.changes["loosened"] >= 20


def test_a_change_takes_effect_within_two_seconds_by_itself(file: File) -> None:
    file.write(OPEN.format(version=1))
    settings = Settings(policy_file=str(file.path))
    source = PolicySource(settings)
    try:
        for version, text, expected in ((2, CLINIC, True), (3, OPEN, False), (4, CLINIC, True)):
            file.write(text.format(version=version))
            wait_for(lambda wanted=expected: source.current().is_under_zdr("clinic") == wanted, 2.0)
    finally:
        source.close()


def _wait_in_child(ready: Any, done: Any, source: PolicySource) -> None:
    before = source.current().is_under_zdr("clinic")
    ready.set()
    deadline = time.monotonic() + 2
    while not source.current().is_under_zdr("clinic") and time.monotonic() < deadline:
        time.sleep(0.01)
    done.put((os.getpid(), before, source.current().is_under_zdr("clinic")))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_change_takes_effect_in_forked_workers_too(file: File) -> None:
    file.write(OPEN.format(version=1))
    source = PolicySource(Settings(policy_file=str(file.path)))
    fork = multiprocessing.get_context("fork")
    done = fork.Queue()
    # The lock is held by somebody at the moment of the fork: the child must not wait for it.
    held = threading.Event()
    release = threading.Event()
    parent = os.getpid()

    def keep_the_lock(old: Policy, new: Policy) -> None:
        if os.getpid() == parent:
            held.set()
            release.wait(10)

    source.on_change(keep_the_lock)
    try:
        file.write(OPEN.format(version=1) + "[workspaces.first]\nzdr = true\n")
        assert held.wait(2)
        workers, flags = [], []
        for _ in range(3):
            ready = fork.Event()
            worker = fork.Process(target=_wait_in_child, args=(ready, done, source))
            worker.start()
            workers.append(worker)
            flags.append(ready)
        for ready in flags:
            assert ready.wait(5)
        file.write(CLINIC.format(version=2))
        results = [done.get(timeout=5) for _ in workers]
        assert [(before, after) for _, before, after in results] == [(False, True)] * 3
        assert len({pid for pid, _, _ in results}) == 3
        for worker in workers:
            worker.join(5)
            assert worker.exitcode == 0
    finally:
        release.set()
        source.close()


def test_a_source_that_nobody_uses_ends_its_thread(file: File) -> None:
    file.write(OPEN.format(version=1))
    before = threading.active_count()
    source = PolicySource(Settings(policy_file=str(file.path)), poll_seconds=0.01)
    assert threading.active_count() == before + 1
    del source
    wait_for(lambda: threading.active_count() == before, 2)


def test_the_log_of_changes_names_versions_and_never_api_keys(
    file: File, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    file.write(OPEN.format(version=1) + f'[api_keys]\n"hmac-sha256:{"ab" * 32}" = "secret-clinic"\n')
    secret = file.path.with_suffix(".key")
    secret.write_bytes(b"x" * 32)
    secret.chmod(0o600)
    source = file.source(key_secret_file=str(secret))
    settle(source)
    file.write(CLINIC.format(version=2) + f'[api_keys]\n"hmac-sha256:{"cd" * 32}" = "secret-clinic\n')
    settle(source)
    file.write(CLINIC.format(version=2))
    settle(source)
    assert "policy 2 holds" in caplog.text
    assert "secret-clinic" not in caplog.text
    assert "hmac" not in caplog.text
