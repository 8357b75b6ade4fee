"""Names that are known and low in cardinality: instruments, events, spans and scopes.

Span names here are those that instrumentations give literally, whatever the request; names made of the
operation and the model, or of the method and the route, are checked against the span's own attributes.
"""

from __future__ import annotations

from otel_zdr.catalogue import _compiled

INSTRUMENTS: frozenset[str] = frozenset(_compiled.INSTRUMENTS.split())

EVENTS: frozenset[str] = frozenset(_compiled.EVENTS.split()) | frozenset(
    ["exception", "message", "gen_ai.choice", "gen_ai.content.prompt", "gen_ai.content.completion", "gen_ai.content.completion.chunk", "gen_ai.user.message", "gen_ai.system.message", "gen_ai.assistant.message", "gen_ai.tool.message", "gen_ai.developer.message", "gen_ai.function.message", "gen_ai.client.inference.operation.details", "gen_ai.client.operation.exception", "gen_ai.evaluation.result", "rpc.message", "db.client.operation.exception", "http.client.request.exception", "http.server.request.exception", "messaging.process.exception", "device.app.lifecycle", "feature_flag.evaluation", "session.start", "session.end", "browser.web_vital", "app.crash", "app.jank", "log", "retry", "tool.call"]
)
#: Event names with spaces that instrumentations write literally.
EVENT_PHRASES: frozenset[str] = frozenset({"First Token Stream Event"})

#: Span names that instrumentations write literally.
SPANS: frozenset[str] = frozenset(
    # openai, anthropic and other clients
    "openai.chat openai.completion openai.embeddings openai.response openai.image_generate openai.audio.speech"
    " openai.audio.transcription anthropic.chat anthropic.completion anthropic.messages.create"
    " anthropic.messages.count_tokens anthropic.messages.stream anthropic.messages.tool_runner"
    " anthropic.beta.messages.create cohere.chat cohere.embed cohere.rerank groq.chat mistralai.chat bedrock.converse"
    " bedrock.completion gemini.generate_content vertexai.generate_content ollama.chat ollama.completion"
    " ollama.embeddings replicate.run together.chat watsonx.generate litellm_request litellm.completion"
    # OpenInference names spans after the response's type
    " ChatCompletion Completion CreateEmbeddings CreateEmbeddingResponse Response Transcription TranscriptionVerbose"
    " Translation HttpxBinaryResponseContent ImagesResponse ModerationCreateResponse Messages AsyncMessages Converse"
    # LiveKit
    " agent_session agent_speaking agent_turn drain_agent_activity function_tool llm_node llm_request llm_request_run"
    " on_enter on_exit start_agent_activity tts_node tts_request tts_request_run tts_stream_adapter user_speaking"
    " user_turn eou_detection stt_node stt_request realtime_assistant_turn job_entrypoint on_user_turn_completed"
    # Pipecat
    " conversation turn stt llm tts model_turn response llm_response llm_setup llm_request llm_tool_call llm_tool_result"
    # Vercel AI SDK, frameworks
    " ai.generateText ai.generateText.doGenerate ai.streamText ai.streamText.doStream ai.generateObject"
    " ai.generateObject.doGenerate ai.streamObject ai.streamObject.doStream ai.embed ai.embed.doEmbed ai.embedMany"
    " ai.embedMany.doEmbed ai.toolCall ai.rerank call_llm execute_tool invoke_agent invocation agent_run invoke_workflow"
    # protocols
    " connect tls.connect tcp.connect tools/call tools/list initialize ping prompts/get prompts/list resources/read"
    " resources/list sampling/createMessage".split()
)
SPAN_PHRASES: frozenset[str] = frozenset(
    {
        "agent run",
        "running tool",
        "running tools",
        "running 1 tool",
        "Reading response body",
        "preparing model request params",
    }
)
#: First segments of scopes that instrumentation libraries use.
SCOPES: frozenset[str] = frozenset(
    ["com.anthropic.sdk.python", "langfuse-sdk", "livekit-agents", "livekit.agents", "logfire", "pydantic-ai", "pydantic_ai", "traceloop.tracer", "traceloop", "pipecat", "pipecat.turn", "pipecat.tracing", "openinference", "openlit", "strands.telemetry.tracer", "strands-agents", "agent_framework", "crewai.telemetry", "agentops", "haystack", "mlflow", "langsmith", "litellm", "ai", "braintrust", "gcp.vertex.agent", "google_adk", "autogen-core", "azure.ai.inference", "azure.ai.projects", "azure.ai.agents", "semantic_kernel", "opentelemetry", "opentelemetry.instrumentation", "opentelemetry.util.genai", "openai_agents", "dify", "laminar", "lmnr", "genkit", "voltagent", "io.opentelemetry", "io.opentelemetry.contrib", "otel_zdr", "httpx", "httpcore", "urllib3", "requests", "aiohttp", "grpc", "asyncio", "sqlalchemy", "psycopg", "redis", "pymongo", "celery", "kafka", "pika", "fastapi", "starlette", "django", "flask"]
)
