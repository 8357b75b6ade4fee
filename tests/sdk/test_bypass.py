"""Ways round the SDK: hooks, uploaders, media queues, loggers and foreign providers, each with a control."""

from __future__ import annotations

import logging
import subprocess
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace.status import Status, StatusCode

import otel_zdr
from otel_zdr.testing import canary, forms
from tests.fakes.server import FakeServer
from tests.sdk import vendor_environments
from tests.sdk.environments import clean_environ

SLOW = pytest.mark.slow  # needs packages that do not go together

PREAMBLE = """
import base64, json, os, sys
text = os.environ["CANARY"]
said = []
import otel_zdr
if os.environ["ZDR"] != "off":
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
tracer = trace.get_tracer("app")
def for_workspace():
    return otel_zdr.workspace(os.environ["ZDR"])
"""


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def run(home: Path, code: str, text: str, workspace: str, tmp_path: Path, **more: str) -> str:
    """What ``code`` writes in an environment of its own, for ``workspace`` (``off``: without the gate)."""
    done = subprocess.run(
        [str(home / "python"), "-c", PREAMBLE + textwrap.dedent(code)],
        env={**clean_environ(), "CANARY": text, "ZDR": workspace, "OUT": str(tmp_path), **more},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def stands_in(text: str, data: bytes) -> bool:
    return any(form in data for form in forms(text))


def written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


BY_ARGUMENT = """
    import openai
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
    class Hook:
        def on_completion(self, **given):
            with open(os.path.join(os.environ["OUT"], "hook"), "a") as file:
                file.write("called " + repr(given))
    OpenAIInstrumentor().instrument(completion_hook=Hook())
    client = openai.OpenAI(api_key="sk-test", base_url=os.environ["URL"])
    with for_workspace(), tracer.start_as_current_span("x"):
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}])
"""
BY_ENVIRONMENT = """
    import openai
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
    from opentelemetry.util.genai._upload.completion_hook import UploadCompletionHook
    OpenAIInstrumentor().instrument()
    client = openai.OpenAI(api_key="sk-test", base_url=os.environ["URL"])
    with for_workspace(), tracer.start_as_current_span("x"):
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}])
    import gc
    for item in gc.get_objects():
        if type(item) is UploadCompletionHook:
            item.shutdown(timeout_sec=10)
"""
HOOKS = {"argument": BY_ARGUMENT, "environment": BY_ENVIRONMENT}
FOR = pytest.mark.parametrize("workspace", ["clinic", "studio", "off"])


@SLOW
@FOR
@pytest.mark.parametrize("way", HOOKS)
def test_a_completion_hook_gets_no_content_of_a_workspace_under_zdr(
    server: FakeServer, tmp_path: Path, way: str, workspace: str
) -> None:
    """The real util-genai and contrib instrumentor: given as an argument, and set by the environment."""
    text = canary()
    (tmp_path / "uploaded").mkdir()
    run(
        vendor_environments.genai(),
        HOOKS[way],
        text,
        workspace,
        tmp_path,
        URL=f"{server.url}/openai/v1",
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_AND_EVENT",
        OTEL_SEMCONV_STABILITY_OPT_IN="gen_ai_latest_experimental",
        **(
            {
                "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK": "upload",
                "OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH": f"file://{tmp_path}/uploaded",
            }
            if way == "environment"
            else {}
        ),
    )
    assert stands_in(text, written(tmp_path)) is (workspace != "clinic")


BLOBS = """
    from openinference.instrumentation import TraceConfig, OITracer
    class Uploader:
        def upload(self, blob):
            with open(os.path.join(os.environ["OUT"], "blob"), "ab") as file:
                file.write(blob.data)
            return "https://example.invalid/blob"
        def shutdown(self, timeout_sec=10.0):
            pass
    config = TraceConfig(blob_uploader=Uploader(), base64_image_max_length=8)
    with for_workspace(), OITracer(tracer, config=config).start_as_current_span("x") as span:
        url = "data:image/png;base64," + base64.b64encode(text.encode() * 50).decode()
        key = "llm.input_messages.0.message.contents.0.message_content.image.image.url"
        span.set_attribute(key, url)
"""


@SLOW
@FOR
def test_openinferences_blob_uploader_gets_no_image_of_a_workspace_under_zdr(
    tmp_path: Path, workspace: str
) -> None:
    """An uploader handed to the configuration, without any environment variable."""
    text = canary()
    run(vendor_environments.genai(), BLOBS, text, workspace, tmp_path)
    assert stands_in(text, written(tmp_path)) is (workspace != "clinic")


MEDIA = """
    from queue import Empty
    from langfuse import Langfuse
    from langfuse.media import LangfuseMedia
    client = Langfuse(public_key="pk", secret_key="sk", host=os.environ["URL"], tracing_enabled=True)
    queue = client._resources._media_upload_queue
    queued = []
    put = queue.put
    queue.put = lambda item, *a, **k: queued.append(repr(item))
    queue.put_nowait = queue.put
    media = LangfuseMedia(content_bytes=text.encode() * 10, content_type="audio/wav")
    with for_workspace(), client.start_as_current_observation(name="x", input={"audio": media}):
        pass
    with open(os.path.join(os.environ["OUT"], "queue"), "w") as file:
        file.write("\\n".join(queued))
    os._exit(0)
"""


@SLOW
@FOR
def test_langfuses_media_queue_takes_nothing_of_a_workspace_under_zdr(
    server: FakeServer, tmp_path: Path, workspace: str
) -> None:
    """Audio given as an input goes to a queue of its own, past every span processor."""
    text = canary()
    run(vendor_environments.langfuse(), MEDIA, text, workspace, tmp_path, URL=server.url)
    assert bool(written(tmp_path)) is (workspace != "clinic")


IMAGES = """
    import asyncio, threading
    from traceloop.sdk.images.image_uploader import ImageUploader
    posted = []
    uploader = ImageUploader("http://127.0.0.1:9", "key")
    uploader._get_image_url = lambda *given: "http://127.0.0.1:9/image"
    async def post(url, image):
        posted.append(image)
    uploader._async_upload = post
    image = base64.b64encode(text.encode()).decode()
    with for_workspace(), tracer.start_as_current_span("x") as span:
        context = span.get_span_context()
        ids = (str(context.trace_id), str(context.span_id))
        # As Traceloop's instrumentors do: in the loop of the call, or in a thread with a loop of its own.
        asyncio.run(uploader.aupload_base64_image(*ids, "a.png", image))
        upload = uploader.aupload_base64_image(*ids, "a.png", image)
        thread = threading.Thread(target=lambda: asyncio.run(upload))
        thread.start()
        thread.join()
        uploader.upload_base64_image(*ids, "a.png", image)
    with open(os.path.join(os.environ["OUT"], "images"), "w") as file:
        file.write(" ".join(posted))
"""


@SLOW
@FOR
def test_traceloops_image_uploader_sends_nothing_of_a_workspace_under_zdr(
    tmp_path: Path, workspace: str
) -> None:
    """Both of its methods; the instrumentors use the asynchronous one, in a thread without the context."""
    text = canary()
    run(vendor_environments.traceloop(), IMAGES, text, workspace, tmp_path)
    assert stands_in(text, written(tmp_path)) is (workspace != "clinic")


DATADOG = """
    from ddtrace.opentelemetry import TracerProvider as Foreign
    trace._TRACER_PROVIDER_SET_ONCE._done = False
    trace._TRACER_PROVIDER = None
    trace.set_tracer_provider(Foreign())
    span = trace.get_tracer("app").start_span("x")
    print("recording", span.is_recording())
"""


@SLOW
@pytest.mark.parametrize("workspace", ["clinic", "off"])
def test_a_provider_that_is_not_the_sdks_is_refused_and_named(tmp_path: Path, workspace: str) -> None:
    """ddtrace makes spans that never meet the gate."""
    output = run(
        vendor_environments.datadog(), DATADOG, canary(), workspace, tmp_path, DD_TRACE_ENABLED="false"
    )
    assert ("recording False" in output) is (workspace != "off")
    assert ("ddtrace" in output and "is refused" in output) is (workspace != "off")


class Kept(logging.Handler):
    """Keeps everything that a record holds, formatted and not."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def text(self) -> str:
        return "".join(repr(vars(record)) + record.getMessage() for record in self.records)


@pytest.fixture
def kept() -> Iterator[Kept]:
    """A handler at the root, all loggers at debug level."""
    handler, root = Kept(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(before)
    root.removeHandler(handler)


LOGGERS = [
    "openai._base_client",
    "httpx",
    "opentelemetry.sdk._logs",
    "opentelemetry.attributes",
    "anthropic",
    "LiteLLM Router",
    "autogen_core.events",
]


@pytest.mark.parametrize("name", LOGGERS)
@pytest.mark.parametrize("workspace", ["clinic", "studio", None])
def test_loggers_that_echo_content_are_filtered_for_every_handler(
    kept: Kept, name: str, workspace: str | None
) -> None:
    """No arguments, no debug records, no extras and no exception; all of it where the workspace is another."""
    own = Kept()
    logger = logging.getLogger(name)
    logger.addHandler(own)
    level, logger.level = logger.level, logging.DEBUG
    if workspace is not None:
        otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    text = canary()
    try:
        with otel_zdr.workspace(workspace or "studio"):
            logger.debug("Request options: %s", {"messages": text})
            logger.warning("HTTP Request: %s", text, extra={"note": text})
            logger.error(f"made of {text}")
            try:
                raise ValueError(text)
            except ValueError:
                logger.exception("Failed to encode %s", text)
    finally:
        logger.removeHandler(own)
        logger.level = level
    for handler in (kept, own):
        records = [record for record in handler.records if record.name == name]
        seen = "".join(repr(vars(record)) + record.getMessage() for record in records)
        if workspace == "clinic":
            assert text not in seen
            assert [record.levelno for record in records] == [logging.WARNING, logging.ERROR, logging.ERROR]
            assert all(not record.args and not record.exc_info for record in records)
            expected = "HTTP Request: %s (arguments withheld under zero data retention)"
            assert records[0].msg == expected, "the constant of the code that logs stays"
            assert "ValueError" in records[2].msg
            assert "test_bypass.py" in str(records[2].exc_text), "where it happened"
        else:
            assert len(records) == 4
            assert seen.count(text) >= 6


def test_what_speaks_of_how_the_process_is_set_up_stays_readable(kept: Kept) -> None:
    """A wrong setting of OpenTelemetry has to be found at start, where there is no content yet."""
    otel_zdr.install()
    logging.getLogger("opentelemetry.instrumentation.auto_instrumentation._load").error(
        "Configuration of %s failed", "acme", extra={"note": 1}
    )
    logging.getLogger("aiohttp.server").error("Error handling %s", "/acme", extra={"note": 1})
    logging.getLogger("opentelemetry.instrumentation.distro_of_others").error("Said %s", "acme")
    assert [record.getMessage() for record in kept.records] == [
        "Configuration of acme failed",
        "Error handling /acme",
        "Said %s (arguments withheld under zero data retention)",
    ]


def test_other_loggers_are_left_alone(kept: Kept) -> None:
    """The application's own log handlers are outside the promise."""
    otel_zdr.install()
    text = canary()
    logging.getLogger("acme.app").debug("said %s", text)
    assert text in kept.text()


def test_the_sdks_own_complaints_hold_no_content(kept: Kept, make_pipeline: Any) -> None:
    """What the SDK logs of values it cannot take: the real thing, with its control."""

    def complain(text: str) -> None:
        span = make_pipeline().tracer.start_span("x", attributes={"workspace.id": "clinic"})
        span.set_status(Status(StatusCode.ERROR), text)
        span.set_attribute("app.note", {text: object()})
        span.end()

    before, after = canary(), canary()
    complain(before)
    assert before in kept.text(), "the control"
    kept.records.clear()
    otel_zdr.install()
    complain(after)
    assert after not in kept.text()


def test_a_real_client_at_debug_level_says_nothing_at_that_level(kept: Kept, server: FakeServer) -> None:
    """openai and its HTTP client against a real server, with the gate and without."""
    openai = pytest.importorskip("openai")

    def ask(text: str) -> None:
        client = openai.OpenAI(api_key="sk-test", base_url=f"{server.url}/openai/v1", max_retries=0)
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": text}])

    def of_clients() -> list[logging.LogRecord]:
        names = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")
        return [record for record in kept.records if record.name.split(".")[0] in names]

    ask(f"CANARY-{uuid.uuid4()}")
    assert any(record.levelno == logging.DEBUG for record in of_clients()), "the control"
    assert server.url in kept.text(), "the control"
    kept.records.clear()
    otel_zdr.install()
    text = f"CANARY-{uuid.uuid4()}"
    ask(text)
    assert all(record.levelno > logging.DEBUG and not record.args for record in of_clients())
    assert text not in kept.text()
    assert server.url not in "".join(record.getMessage() for record in of_clients())
