"""Literals that are proven: a text of the source may stay, a text of the data never does."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import queue
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Callable, Iterator
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from otel_zdr.redaction.literals import MAX_NAME, MAX_TEMPLATE, proven_name, proven_template

AT_MODULE_LEVEL = proven_name("a name at module level")
TEMPLATE_AT_MODULE_LEVEL = proven_template("a template at module level")


def canary() -> str:
    return "CANARY" + uuid.uuid4().hex


def same(text: str) -> str:
    return text


def recording() -> tuple[logging.Logger, list[object]]:
    """A logger, and the messages that were proven in a handler below it."""
    proven: list[object] = []

    class Handler(logging.Handler):
        pass

    # As if `emit` were code of a skipped package: a function of this module's text, but with the
    # globals and the file of `logging`, so that it is passed over like the real handlers.
    def emit(self: logging.Handler, record: logging.LogRecord) -> None:
        proven.append(record.msg if check(record.msg) else None)

    check = proven_template
    code = emit.__code__.replace(co_filename=logging.__file__)
    closure = emit.__closure__
    Handler.emit = FunctionType(code, vars(logging), "emit", None, closure)  # type: ignore[method-assign]
    logger = logging.Logger(f"test.{uuid.uuid4().hex}")
    logger.addHandler(Handler())
    return logger, proven


# --- what is proven


def test_a_literal_of_the_calling_function_is_proven() -> None:
    assert proven_name("charge card")
    assert proven_template("charge failed for %s")


def test_a_literal_in_a_variable_of_the_function_is_proven() -> None:
    name = "charge card"

    assert proven_name(name)


def test_names_at_module_level_are_proven_and_templates_are_not() -> None:
    assert AT_MODULE_LEVEL
    assert not TEMPLATE_AT_MODULE_LEVEL


class InClassBody:
    name = proven_name("a name in a class body")
    template = proven_template("a template in a class body")


def test_names_in_class_bodies_are_proven_and_templates_are_not() -> None:
    assert InClassBody.name
    assert not InClassBody.template


def test_literals_in_lambdas_comprehensions_generators_and_coroutines_are_proven() -> None:
    async def coroutine() -> bool:
        await asyncio.sleep(0)
        return proven_name("in a coroutine")

    def generator() -> Iterator[bool]:
        yield proven_name("in a generator")

    assert (lambda: proven_name("in a lambda"))()
    assert [proven_name("in a comprehension") for _ in range(1)] == [True]
    assert list(generator()) == [True]
    assert asyncio.run(coroutine())


def test_implicit_concatenation_is_one_literal() -> None:
    assert proven_template("charge failed for %s: see the page of the service for what to do with the queue")


def test_a_log_call_with_a_literal_is_proven_through_the_frames_of_logging() -> None:
    logger, proven = recording()

    logger.info("charge failed for %s", canary())
    logger.exception("an error of %s", canary())
    logging.LoggerAdapter(logger, {"a": 1}).warning("adapted %s", canary())

    assert proven == ["charge failed for %s", "an error of %s", "adapted %s"]


@contextlib.contextmanager
def manager(name: str) -> Iterator[list[bool]]:
    yield [proven_name(name)]


def test_a_context_manager_of_a_library_is_asked_for_its_own_frame() -> None:
    # `manager` is not of a skipped package, so its frame is the innermost and the literal not its own.
    with manager("as a context manager") as seen:
        assert seen == [False]


# --- what is not


def dynamic_texts() -> list[str]:
    secret = canary()
    return [
        secret,
        f"charge {secret}",
        f"{secret}",
        "charge " + secret,
        "charge %s" % secret,  # noqa: UP031
        "charge {}".format(secret),  # noqa: UP032
        "".join(["charge", " ", "card"]),
        "charge card!"[:-1],
        sys.intern("charge-" + secret),
        secret.lower(),
    ]


def test_texts_made_at_run_time_are_not_proven() -> None:
    assert proven_name("charge card")  # positive control: the same text as a literal
    for text in dynamic_texts():
        assert not proven_name(text)
        assert not proven_template(text)


@pytest.mark.parametrize("text", ["", "é", " "])
def test_the_empty_string_and_single_characters_are_one_object_for_all_and_not_proven(text: str) -> None:
    data = (text + "b")[: len(text)]
    letters = ("", "a", "é", " ")

    assert data is letters[letters.index(text)]  # data and literal cannot be told apart
    assert not proven_name("")
    assert not proven_name("a")
    assert not proven_name(data)


def test_interned_data_is_only_ever_a_literal_of_the_function() -> None:
    def log(text: str) -> tuple[bool, bool]:
        label = "positive_finding"
        return proven_name(sys.intern(text)), proven_name(label)

    assert log("-".join(["another", "text"])) == (False, True)
    # The same object as the literal: what is exported stands in the source of the function.
    assert log("".join(["positive", "_finding"])) == (True, True)


def test_a_call_site_that_passed_a_literal_does_not_prove_the_data_after_it() -> None:
    def log(text: str = "charge card") -> bool:
        return proven_name(text if text else "charge card")

    # The default is a constant of the enclosing function, "" chooses the one of its own.
    assert [log(text) for text in ("", canary(), "", canary())] == [True, False, True, False]


def test_a_loop_over_literal_and_data_proves_the_literal_only() -> None:
    proven = []
    for text in ["charge card", canary(), "charge " + same("card"), "charge card"]:
        proven.append(proven_name(text))  # noqa: PERF401 (a comprehension is another function)

    assert proven == [True, False, False, True]


def test_ids_used_again_after_garbage_collection_prove_nothing() -> None:
    def made() -> Callable[[str], bool]:
        scope: dict[str, Any] = {"proven_name": proven_name, "__name__": __name__}
        exec("def f(text):\n    'constant of the code'\n    return proven_name(text)", scope)
        return scope["f"]  # type: ignore[no-any-return]

    addresses = set()
    for _ in range(300):
        function = made()
        assert function.__doc__ is not None
        addresses.add(id(function.__code__))
        assert not function(function.__doc__)
        text = canary()
        assert not function(text)
        del function
        gc.collect(0)

    assert len(addresses) < 300  # positive control: addresses came again


def test_the_memo_does_not_keep_code_alive(tmp_path: Path) -> None:
    import weakref

    module = import_file(tmp_path, "def f(prove):\n    return prove('a literal here')\n")
    assert module.f(proven_name)
    gone = weakref.ref(module.f.__code__)
    del sys.modules[module.__name__], module
    gc.collect()

    assert gone() is None


@pytest.mark.parametrize("length", [MAX_NAME, MAX_NAME + 1, MAX_TEMPLATE, MAX_TEMPLATE + 1])
def test_long_literals_are_not_proven(tmp_path: Path, length: int) -> None:
    text = "x y " * 100
    module = import_file(tmp_path, f"def f(prove):\n    return prove({text[:length]!r})\n")

    assert module.f(proven_name) is (length <= MAX_NAME)
    assert module.f(proven_template) is (length <= MAX_TEMPLATE)


def import_file(folder: Path, source: str) -> Any:
    name = f"app_{uuid.uuid4().hex[:8]}"
    (folder / f"{name}.py").write_text(textwrap.dedent(source))
    sys.path.insert(0, str(folder))
    try:
        return __import__(name)
    finally:
        sys.path.remove(str(folder))


@pytest.mark.parametrize("how", ["string", "own file name", "own file and globals", "eval", "forged logging"])
def test_code_made_at_run_time_proves_nothing(how: str) -> None:
    secret = canary()
    source = f"result = prove({secret!r})"
    scope: dict[str, Any] = {"prove": proven_name, "__name__": __name__}
    if how == "string":
        exec(source, scope)
    elif how == "own file name":
        exec(compile(source, __file__, "exec"), scope)
    elif how == "own file and globals":
        scope = globals()
        scope["prove"] = proven_name
        exec(compile(source, __file__, "exec"), scope)
    elif how == "eval":
        scope["result"] = eval(f"prove({secret!r})", scope)
    else:
        scope["__name__"] = "logging"
        exec(compile(source, logging.__file__, "exec"), scope)

    assert scope.pop("result") is False


def test_a_function_forged_at_the_place_of_a_real_one_proves_only_what_the_file_says() -> None:
    secret = canary()
    line = real_function.__code__.co_firstlineno
    source = (
        "\n" * (line - 1) + f"def real_function(prove):\n    return prove({secret!r}), prove('the real one')"
    )
    scope: dict[str, Any] = {"__name__": __name__}
    exec(compile(source, __file__, "exec"), scope)

    assert real_function(proven_name) == (True, True)
    assert scope["real_function"](proven_name) == (False, True)


def real_function(prove: Callable[[str], bool]) -> tuple[bool, bool]:
    return prove("the real one"), prove("the real one")


def test_code_with_replaced_constants_proves_nothing() -> None:
    secret = canary()
    code = real_function.__code__
    forged = code.replace(co_consts=tuple(secret if c == "the real one" else c for c in code.co_consts))

    assert FunctionType(forged, globals())(proven_name) == (False, False)


def test_a_literal_handed_to_a_library_that_logs_it_is_not_proven(tmp_path: Path) -> None:
    library = import_file(
        tmp_path,
        """
        def ask(prompt, prove, log):
            log(prompt)
            return prove(prompt)
        """,
    )
    logger, proven = recording()

    asked = library.ask("You are the assistant of a clinic.", proven_template, logger.info)
    logger.info("You are the assistant of a clinic.")

    assert not asked
    assert proven == [None, "You are the assistant of a clinic."]


def test_wrappers_around_a_logger_are_not_proven() -> None:
    logger, proven = recording()

    def log(message: str) -> None:
        logger.info(message)

    class Adapter(logging.LoggerAdapter):  # type: ignore[type-arg]
        def process(self, msg: Any, kwargs: Any) -> Any:
            return f"[ward] {msg}", kwargs

    log("through a function")
    functools.partial(logger.info, "through a partial")()
    Adapter(logger, {}).info("through an adapter")

    # A partial has no frame: the literal is one of this function, which called it.
    assert proven == [None, "through a partial", None]


def test_the_usual_way_to_a_handler_passes_over_no_code_of_the_application() -> None:
    logger, proven = recording()
    for _ in range(3):
        logger.info("the usual way")

    class Between(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logger.handlers[0].handle(record)

    other = logging.Logger("other")
    other.addHandler(Between())
    for _ in range(3):
        other.info("through code of the application")
    logger.error("at another level")
    logger.info(canary())
    logger.info("the usual way")

    expected: list[object] = ["the usual way"] * 3
    assert proven == [*expected, None, None, None, "at another level", None, "the usual way"]


@pytest.mark.parametrize("message", [{"prompt": "text"}, ["text"], b"text", 7, None, KeyError("x")])
def test_messages_that_are_no_strings_are_not_proven(message: object) -> None:
    assert not proven_template(message)
    assert not proven_name(message)


def test_a_string_subclass_is_not_proven() -> None:
    class Text(str):
        __slots__ = ()

    assert not proven_name(Text("charge card"))


def test_records_that_another_thread_handles_are_not_proven() -> None:
    logger, proven = recording()
    handler = logger.handlers[0]
    records: queue.Queue[Any] = queue.Queue()
    queued = logging.Logger("queued")
    queued.addHandler(QueueHandler(records))
    listener = QueueListener(records, handler)

    listener.start()
    queued.info("a literal in another thread")
    listener.stop()

    assert proven == [None]


def test_a_callback_without_a_caller_proves_only_its_own_literals() -> None:
    proven: list[bool] = []

    def callback(text: str) -> None:
        proven.append(proven_name(text))
        proven.append(proven_name("of the callback"))

    thread = threading.Thread(target=callback, args=("of the caller",))
    thread.start()
    thread.join()
    loop = asyncio.new_event_loop()
    loop.call_soon(callback, "of the caller")
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    assert proven == [False, True, False, True]


def test_a_thread_that_starts_in_the_proof_itself_proves_nothing() -> None:
    proven: list[bool] = []

    class Event:
        def set(self) -> None:
            proven.append(proven_name("in a thread"))

    thread = threading.Thread(target=proven_name, args=("in a thread",))
    thread.start()
    thread.join()
    Event().set()

    assert proven == [True]


# --- where code lives


def run(path: Path, *arguments: str, **environment: str) -> str:
    import os

    done = subprocess.run(
        [sys.executable, *arguments, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SCRIPT = """
import sys
from otel_zdr.redaction.literals import proven_name, proven_template
def f():
    return proven_template("in a function"), proven_template("in a " + sys.argv[0])
print(proven_name("in the script"), f())
"""


def test_a_script_is_the_file_of_its_main_module(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text(SCRIPT)

    assert run(script) == "True (True, False)\n"
    assert not (tmp_path / "__pycache__").exists()  # asking leaves nothing behind


def test_a_script_typed_in_by_hand_proves_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-"], input=SCRIPT, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "False (False, False)\n"


@pytest.mark.parametrize("bytecode", ["", "1"])
def test_modules_are_proven_with_and_without_cached_bytecode(tmp_path: Path, bytecode: str) -> None:
    (tmp_path / "shop.py").write_text(SCRIPT)
    script = tmp_path / "app.py"
    script.write_text("import shop")

    for _ in range(2):
        assert run(script, PYTHONDONTWRITEBYTECODE=bytecode) == "True (True, False)\n"
    assert (tmp_path / "__pycache__").exists() is not bool(bytecode)


def test_a_module_in_a_zip_file_and_one_without_source_are_proven(tmp_path: Path) -> None:
    import py_compile
    import zipfile

    source = tmp_path / "shop.py"
    source.write_text(SCRIPT)
    archive = tmp_path / "app.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("shop.py", SCRIPT)
        file.writestr("__main__.py", "import shop")
    bare = tmp_path / "bare"
    bare.mkdir()
    py_compile.compile(str(source), str(bare / "shop.pyc"), doraise=True)
    (bare / "app.py").write_text("import shop")

    assert run(archive) == "True (True, False)\n"
    assert run(bare / "app.py") == "True (True, False)\n"


def test_a_file_that_changed_since_it_was_loaded_proves_nothing_new(tmp_path: Path) -> None:
    module = import_file(tmp_path, "def f(prove):\n    return prove('the old text')\n")
    Path(module.__file__).write_text("def f(prove):\n    return prove('the new, longer text')\n")

    # Of another length: within one second Python itself takes bytecode for that of a file of the same length.
    assert not module.f(proven_name)


def test_a_file_that_went_away_proves_nothing(tmp_path: Path) -> None:
    import shutil

    module = import_file(tmp_path, "def f(prove):\n    return prove('some text')\n")
    shutil.rmtree(tmp_path)

    assert not module.f(proven_name)


def test_a_proof_is_cheap() -> None:
    import timeit

    def ask() -> bool:
        return proven_template("charge failed for %s")

    assert ask()

    assert min(timeit.repeat(ask, number=1000, repeat=5)) < 0.02  # 20 µs, on the slowest machine
