"""Which packages each vendor's test needs."""

from __future__ import annotations

from pathlib import Path

from tests.sdk.environments import environment


def logfire() -> Path:
    return environment("logfire", "logfire>=3", "openai>=2")


def langfuse() -> Path:
    return environment("langfuse", "langfuse>=3", "openai>=2")


def traceloop() -> Path:
    return environment(
        "traceloop", "traceloop-sdk>=0.50", "openai>=2", "httpx", "openinference-instrumentation-openai"
    )


def aws() -> Path:
    return environment("aws", "aws-opentelemetry-distro")


def datadog() -> Path:
    return environment("datadog", "ddtrace>=4")


def genai() -> Path:
    return environment(
        "genai",
        "opentelemetry-util-genai",
        "opentelemetry-instrumentation-genai-openai",
        "openai>=2",
        "openinference-instrumentation-openai",
        "opentelemetry-instrumentation-openai",
        "fsspec",
        prereleases=True,
    )


if __name__ == "__main__":
    import concurrent.futures

    makers = (logfire, langfuse, traceloop, aws, datadog, genai)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for made in pool.map(lambda make: make(), makers):
            print(made)
