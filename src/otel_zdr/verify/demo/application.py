"""The application of the demo: a voice agent for two workspaces, with no line about zero data retention.

It calls its vendor through the official clients and names the workspace in an attribute of its own span.
What is said comes on standard input: ``{"base_url": …, "conversations": [{"workspace": …, "patient": …,
"outside": …, "broken": …, "spoken": …, "noted": …}]}``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from typing import Any

import openai
from inworld_tts import InworldTTS
from opentelemetry import trace

HOSTED_MODEL = "inworld/hosted-1"
THIRD_PARTY_MODEL = "openai/gpt-x"
SPEECH_MODEL = "inworld-tts-1.5-max"

tracer = trace.get_tracer(__name__)
log = logging.getLogger("voice_agent")


def converse(llm: Any, voice: Any, said: dict[str, str]) -> None:
    """One conversation: two questions, an error, speech, a line in the log."""
    with tracer.start_as_current_span("conversation", attributes={"workspace.id": said["workspace"]}):
        for model, question in ((HOSTED_MODEL, said["patient"]), (THIRD_PARTY_MODEL, said["outside"])):
            llm.chat.completions.create(model=model, messages=[{"role": "user", "content": question}])
        with contextlib.suppress(openai.BadRequestError):  # the vendor's error repeats the prompt
            llm.responses.create(model=HOSTED_MODEL, input=said["broken"])
        voice.generate(said["spoken"], voice="Ashley")
        log.warning("answered: %s", said["noted"])


def main() -> None:
    task = json.load(sys.stdin)
    llm = openai.OpenAI(base_url=f"{task['base_url']}/v1", api_key="demo", max_retries=0)
    voice = InworldTTS(api_key="demo", base_url=task["base_url"])
    for said in task["conversations"]:
        converse(llm, voice, said)


if __name__ == "__main__":
    main()
