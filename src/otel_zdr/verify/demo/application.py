"""The application of the demo: a voice agent for two workspaces, with no line about zero data retention.

It calls its vendor through the official clients and names the workspace in an attribute of its own span.
What is said comes on standard input: ``{"base_url": …, "conversations": [{"workspace": …, "hosted": …,
"routed": …, "refused": …, "spoken": …, "noted": …}]}``.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import openai
from inworld_tts import InworldTTS  # type: ignore[import-untyped]
from opentelemetry import trace

HOSTED_MODEL = "inworld/hosted-1"
THIRD_PARTY_MODEL = "openai/gpt-x"

tracer = trace.get_tracer("voice_agent")
log = logging.getLogger("voice_agent")


def converse(llm: Any, voice: Any, said: dict[str, str]) -> None:
    """One conversation: two questions, one that the vendor refuses, speech, a line in the log."""
    with tracer.start_as_current_span("conversation", attributes={"workspace.id": said["workspace"]}) as span:
        for model, question in ((HOSTED_MODEL, said["hosted"]), (THIRD_PARTY_MODEL, said["routed"])):
            answer = llm.chat.completions.create(
                model=model, messages=[{"role": "user", "content": question}]
            )
            span.add_event("turn", {"question": question, "answer": answer.choices[0].message.content})
        try:
            llm.responses.create(model=HOSTED_MODEL, input=said["refused"])
        except openai.BadRequestError as error:  # its text repeats the prompt, as vendors' errors do
            span.record_exception(error)
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
