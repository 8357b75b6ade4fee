"""Stack traces of frames: what is provably code stays, nothing an exception carries does."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_zdr.redaction import frames

THIS = Path(__file__).name


def canary() -> str:
    return "CANARY" + uuid.uuid4().hex


def caught(function: Callable[..., object], *args: object) -> BaseException:
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def raise_it(error: BaseException) -> None:
    raise error


def raise_from(error: BaseException, cause: BaseException | None) -> None:
    raise error from cause


class PaymentError(Exception):
    """An exception of an application."""


class Outer:
    class NestedError(Exception):
        pass

    def method(self) -> None:
        def inner() -> None:
            (lambda: raise_it(Outer.NestedError("secret")))()

        inner()


def assert_grammar(trace: str) -> None:
    for line in trace.split("\n"):
        assert re.fullmatch(frames.LINE, line), line


def shown(trace: str) -> list[str]:
    """The lines of a trace without line numbers."""
    return [re.sub(r":\d+ ", " ", line) for line in trace.split("\n")]


def test_a_trace_names_type_file_line_and_function() -> None:
    error = caught(raise_it, PaymentError("secret"))

    trace = frames.stacktrace(error)

    assert shown(trace) == [f"{__name__}.PaymentError", f"{THIS} caught", f"{THIS} raise_it"]
    assert f"{THIS}:{raise_it.__code__.co_firstlineno + 1} raise_it" in trace
    assert_grammar(trace)


def test_qualified_names_say_where_a_function_is_nested() -> None:
    trace = frames.stacktrace(caught(Outer().method))

    assert shown(trace) == [
        f"{__name__}.Outer.NestedError",
        f"{THIS} caught",
        f"{THIS} Outer.method",
        f"{THIS} Outer.method.<locals>.inner",
        f"{THIS} Outer.method.<locals>.inner.<locals>.<lambda>",
        f"{THIS} raise_it",
    ]
    assert_grammar(trace)


def test_causes_and_contexts_follow_with_their_types() -> None:
    def with_context() -> None:
        try:
            raise_it(KeyError("secret"))
        except KeyError:
            raise_from(PaymentError("secret"), caught(raise_it, ConnectionResetError("secret")))

    def implicit() -> None:
        try:
            with_context()
        except PaymentError:
            raise_it(ValueError("secret"))

    trace = frames.stacktrace(caught(implicit))

    types = [line for line in shown(trace) if ".py" not in line]
    assert types == [
        "builtins.ValueError",
        f"context: {__name__}.PaymentError",
        "cause: builtins.ConnectionResetError",
        "context: builtins.KeyError",
    ]
    assert "secret" not in trace


def test_raising_from_none_hides_the_context() -> None:
    def suppressed() -> None:
        try:
            raise_it(KeyError("secret"))
        except KeyError:
            raise_from(PaymentError(), None)

    assert "KeyError" not in frames.stacktrace(caught(suppressed))


def test_messages_notes_arguments_source_lines_and_locals_are_not_read() -> None:
    secret = canary()

    def fails(prompt: str) -> None:
        local = prompt * 2
        error = PaymentError(prompt, {"prompt": local})
        if hasattr(error, "add_note"):
            error.add_note(prompt)
        raise error  # CANARY in a source line

    error = caught(fails, secret)

    assert secret in "".join(traceback.format_exception(error))  # positive control
    assert "CANARY" not in frames.stacktrace(error)


def test_frame_like_lines_in_a_message_are_not_frames() -> None:
    message = f'x\n  File "/app/{canary()}.py", line 7, in leak\n{THIS}:7 {canary()}'
    trace = frames.stacktrace(caught(raise_it, PaymentError(message)))

    assert "CANARY" not in trace
    assert len(trace.split("\n")) == 3


class Hostile(Exception):
    """Every hook that a trace might call raises or lies."""

    def _never(self, *args: object) -> Any:
        raise RuntimeError("code of the exception was run")

    __str__ = __repr__ = __format__ = __hash__ = __eq__ = __bool__ = _never  # type: ignore[assignment]
    __class__ = property(_never)  # type: ignore[assignment]
    __cause__ = property(_never)  # type: ignore[assignment]
    __context__ = property(_never)  # type: ignore[assignment]
    __traceback__ = property(_never)  # type: ignore[assignment]
    __suppress_context__ = property(_never)  # type: ignore[assignment]
    __notes__ = property(_never)
    args = property(_never)  # type: ignore[assignment]
    exceptions = property(_never)

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("an attribute was read")


def test_no_code_of_the_exception_runs() -> None:
    def fails() -> None:
        try:
            raise_it(Hostile())
        except BaseException:
            raise_it(Hostile())

    error = caught(fails)

    assert shown(frames.stacktrace(error)) == [
        f"{__name__}.Hostile",
        f"{THIS} caught",
        f"{THIS} test_no_code_of_the_exception_runs.<locals>.fails",
        f"{THIS} raise_it",
        f"context: {__name__}.Hostile",
        f"{THIS} test_no_code_of_the_exception_runs.<locals>.fails",
        f"{THIS} raise_it",
    ]
    assert frames.exception_type(error) == f"{__name__}.Hostile"
    assert len(frames.fingerprint(error)) == 16


class HostileMeta(type):
    """A metaclass whose names lie and whose comparisons raise."""

    leaks = "CANARY" + uuid.uuid4().hex
    __name__ = property(lambda cls: HostileMeta.leaks)  # type: ignore[assignment]
    __module__ = property(lambda cls: HostileMeta.leaks)  # type: ignore[assignment]

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("a class was compared")

    def __hash__(cls) -> int:
        raise RuntimeError("a class was hashed")

    def __instancecheck__(cls, instance: object) -> bool:
        raise RuntimeError("an instance was checked")


def test_no_code_of_the_metaclass_runs() -> None:
    class Mine(Exception, metaclass=HostileMeta):
        pass

    error = caught(raise_it, Mine())

    trace = frames.stacktrace(error)

    assert trace.startswith(f"{__name__}.test_no_code_of_the_metaclass_runs.<locals>.Mine\n")
    assert "CANARY" not in trace


def test_chains_that_cycle_end() -> None:
    first, second = caught(raise_it, KeyError()), caught(raise_it, ValueError())
    first.__cause__, second.__cause__ = second, first

    types = [line for line in shown(frames.stacktrace(first)) if ".py" not in line]

    assert types == ["builtins.KeyError", "cause: builtins.ValueError"]


def test_long_chains_are_cut() -> None:
    error: BaseException = ValueError()
    for _ in range(5000):
        above = ValueError()
        above.__cause__ = error
        error = above

    trace = frames.stacktrace(error)

    assert trace.count("builtins.ValueError") == frames.MAX_EXCEPTIONS
    assert trace.endswith(" exceptions")
    assert_grammar(trace)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no exception groups")
def test_groups_of_hundreds_are_shown_in_part() -> None:
    secret = canary()
    members = [caught(raise_it, OSError(secret)) for _ in range(500)]
    group = caught(raise_it, ExceptionGroup(secret, members))  # type: ignore[type-var]  # noqa: F821

    trace = frames.stacktrace(group)

    assert trace.startswith("builtins.ExceptionGroup\n")
    assert 10 < trace.count("member: builtins.OSError") < 20
    assert re.search(r"^\+48\d exceptions$", trace, re.M)
    assert secret not in trace
    assert_grammar(trace)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no exception groups")
def test_groups_in_groups_without_end_are_cut() -> None:
    group: BaseException = ValueError()
    for _ in range(3000):
        group = BaseExceptionGroup("x", [group])  # noqa: F821

    assert len(frames.stacktrace(group).split("\n")) <= frames.MAX_EXCEPTIONS + 1


def test_a_deep_recursion_is_folded() -> None:
    def recurse(depth: int) -> None:
        if depth:
            recurse(depth - 1)
        else:
            raise PaymentError

    trace = frames.stacktrace(caught(recurse, 800))

    assert len(trace.split("\n")) < 8
    assert "+799 frames" in trace
    assert_grammar(trace)


def test_a_recursion_of_several_functions_is_folded() -> None:
    def ping(depth: int) -> None:
        pong(depth - 1)

    def pong(depth: int) -> None:
        if depth <= 0:
            raise PaymentError
        ping(depth)

    trace = frames.stacktrace(caught(ping, 300))

    assert len(trace.split("\n")) < 10
    assert "ping" in trace
    assert "pong" in trace


def test_the_middle_of_a_long_trace_is_left_out(tmp_path: Path) -> None:
    count = 100
    source = "".join(f"def f{n}():\n    f{n + 1}()\n" for n in range(count)) + f"def f{count}():\n    1/0\n"
    module = import_file(tmp_path, source)

    trace = frames.stacktrace(caught(module.f0))

    assert len(trace.split("\n")) == frames.MAX_FRAMES + 2
    assert f"f{count}" in trace
    assert "f0" in trace
    assert "f50" not in trace
    assert f"+{count + 2 - frames.MAX_FRAMES} frames" in trace


def import_file(folder: Path, source: str) -> Any:
    """A module of a file of its own, imported as every other."""
    name = f"app_{uuid.uuid4().hex[:8]}"
    (folder / f"{name}.py").write_text(textwrap.dedent(source))
    sys.path.insert(0, str(folder))
    try:
        return __import__(name)
    finally:
        sys.path.remove(str(folder))


def test_code_that_exec_made_is_counted_and_not_shown() -> None:
    secret = canary()
    scope: dict[str, Any] = {"__name__": __name__}
    exec(f"def {secret}(f):\n    f()", scope)

    trace = frames.stacktrace(caught(scope[secret], lambda: raise_it(PaymentError())))

    assert secret not in trace
    assert shown(trace)[1:4] == [
        f"{THIS} caught",
        "+1 frames",
        f"{THIS} test_code_that_exec_made_is_counted_and_not_shown.<locals>.<lambda>",
    ]


@pytest.mark.parametrize("file", ["content", "own file"])
def test_code_compiled_under_a_chosen_file_name_is_not_shown(file: str) -> None:
    secret = canary()
    # The second is the better forgery: the file, the globals and a line of this very module.
    name = f"/app/{secret}.py" if file == "content" else __file__
    exec(compile(f"def {secret}():\n    1/0", name, "exec"), globals())
    function = globals().pop(secret)

    assert secret in "".join(traceback.format_exception(caught(function)))  # positive control
    assert secret not in frames.stacktrace(caught(function))


def test_a_type_made_at_run_time_is_called_by_its_nearest_known_base() -> None:
    secret = canary()
    made = type(secret, (PaymentError,), {})
    spaced = type(f"about {secret}", (LookupError,), {})
    moved = type("Moved", (PaymentError,), {"__module__": secret})
    renamed = type("PaymentError", (PaymentError,), {"__qualname__": f"Outer.{secret}"})

    assert frames.exception_type(made()) == f"{__name__}.PaymentError"
    assert frames.exception_type(spaced()) == "LookupError"
    assert frames.exception_type(moved()) == f"{__name__}.PaymentError"
    assert frames.exception_type(renamed()) == f"{__name__}.PaymentError"
    assert secret not in frames.stacktrace(caught(raise_it, made()))


def test_a_type_that_exec_defined_is_called_by_its_nearest_known_base() -> None:
    secret = canary()
    scope: dict[str, Any] = {}
    exec(f"class {secret}(OSError): pass", scope)

    assert frames.exception_type(scope[secret]()) == "OSError"


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: int("x"), "ValueError"),
        (lambda: __import__("json").loads("{"), "json.decoder.JSONDecodeError"),
        (lambda: raise_it(__import__("ssl").SSLError()), "ssl.SSLError"),
        (lambda: raise_it(__import__("sqlite3").OperationalError()), "sqlite3.OperationalError"),
        (lambda: raise_it(__import__("httpx").ConnectError("x")), "httpx.ConnectError"),
        (lambda: raise_it(__import__("asyncio").CancelledError()), "asyncio.exceptions.CancelledError"),
        (lambda: raise_it(__import__("concurrent.futures").futures.TimeoutError()), "TimeoutError"),
        (lambda: raise_it(__import__("requests").Timeout()), "requests.exceptions.Timeout"),
    ],
)
def test_types_of_libraries_keep_their_names(make: Callable[[], object], name: str) -> None:
    if name == "TimeoutError" and sys.version_info < (3, 11):
        name = "concurrent.futures._base.TimeoutError"

    assert frames.exception_type(caught(make)) == name


def test_types_of_vendors_clients_keep_their_names() -> None:
    openai = pytest.importorskip("openai")

    assert frames.exception_type(openai.RateLimitError) == "openai.RateLimitError"


def test_exceptions_that_carry_data_show_none() -> None:
    secret = canary()
    errors = [
        caught(compile, f"{secret} {secret}", f"{secret}.py", "exec"),
        caught(bytes.decode, secret.encode() + b"\xff", "utf-8"),
        caught(int, secret),
        caught({}.__getitem__, secret),
        caught(__import__("json").loads, "{" + secret),
        caught(getattr, object(), secret),
        caught(__import__, secret),
        caught(open, f"/{secret}/{secret}"),
    ]
    for error in errors:
        formatted = "".join(traceback.format_exception(error))
        assert secret in formatted + repr(error) + str(vars(error))  # positive control
        assert secret not in frames.stacktrace(error)
        assert secret not in frames.exception_type(error)
        assert_grammar(frames.stacktrace(error))


async def test_coroutines_and_generators_show_their_frames() -> None:
    def generator() -> Any:
        yield 1
        raise PaymentError

    async def coroutine() -> None:
        list(generator())

    with pytest.raises(PaymentError) as info:
        await coroutine()

    names = [line.rpartition(".")[2] for line in frames.stacktrace(info.value).split("\n")]
    assert names[-2:] == ["coroutine", "generator"]


def test_an_exception_that_was_never_raised_has_only_its_type() -> None:
    assert frames.stacktrace(PaymentError("secret")) == f"{__name__}.PaymentError"


def test_a_fingerprint_is_the_same_for_the_same_failure_only() -> None:
    def fails(prompt: str, depth: int = 0) -> None:
        if depth:
            fails(prompt, depth - 1)
        raise PaymentError(prompt)

    def fails_elsewhere(prompt: str) -> None:
        raise PaymentError(prompt)

    one = frames.fingerprint(caught(fails, canary()))

    assert re.fullmatch(r"[0-9a-f]{16}", one)
    assert frames.fingerprint(caught(fails, canary())) == one
    assert frames.fingerprint(caught(fails, canary(), 30)) == one
    assert frames.fingerprint(caught(fails_elsewhere, "x")) != one


def test_a_fingerprint_is_the_same_in_every_process_folder_and_line(tmp_path: Path) -> None:
    source = """
        import sys
        from otel_zdr.redaction.frames import fingerprint
        def charge(text): raise KeyError(text)
        try: charge(sys.argv[1])
        except KeyError as error: print(fingerprint(error))
    """
    prints = set()
    for number in range(2):
        folder = tmp_path / f"release-{number}"
        folder.mkdir()
        script = folder / "app.py"
        script.write_text("\n" * number + textwrap.dedent(source))
        done = subprocess.run(
            [sys.executable, str(script), canary()], capture_output=True, text=True, check=True, timeout=60
        )
        prints.add(done.stdout)

    assert len(prints) == 1


def test_one_walk_says_the_same_as_three() -> None:
    error = caught(raise_from, PaymentError("secret"), caught(raise_it, KeyError("secret")))

    assert frames.describe(error) == (
        frames.exception_type(error),
        frames.stacktrace(error),
        frames.fingerprint(error),
    )


def test_names_with_other_letters_and_files_with_spaces_are_not_shown(tmp_path: Path) -> None:
    name = f"app {uuid.uuid4().hex[:8]}"
    (tmp_path / f"{name}.py").write_text("def f(g):\n    g()\n")
    sys.path.insert(0, str(tmp_path))
    try:
        module = __import__(name)
    finally:
        sys.path.remove(str(tmp_path))
    other = import_file(tmp_path, "def für(g):\n    g()\n")

    for function in (module.f, other.für):
        trace = frames.stacktrace(caught(function, lambda: raise_it(PaymentError())))

        assert "+1 frames" in trace
        assert_grammar(trace)


def test_nothing_of_an_exception_is_kept() -> None:
    import gc
    import weakref

    def fails() -> None:
        raise PaymentError(canary())

    error = caught(fails)
    frames.stacktrace(error), frames.fingerprint(error), frames.exception_type(error)
    gone = weakref.ref(error)
    del error
    gc.collect()

    assert gone() is None


def test_a_trace_costs_a_fraction_of_the_formatted_text() -> None:
    import timeit

    def fails() -> None:
        try:
            raise_it(KeyError("x"))
        except KeyError as error:
            raise PaymentError("y") from error

    error = caught(fails)
    frames.stacktrace(error)

    ours = min(timeit.repeat(lambda: frames.stacktrace(error), number=100, repeat=5))
    formatted = min(timeit.repeat(lambda: traceback.format_exception(error), number=100, repeat=5))

    assert ours * 2 < formatted
