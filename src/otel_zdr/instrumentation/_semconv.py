"""Names from the GenAI semantic conventions, and our own where the conventions have none.

Source: open-telemetry/semantic-conventions-genai (status Development, but for `error.type` and `server.*`).
The speech operations are those of its open pull request for voice; they stand here as constants so that one
edit follows whatever is merged.
"""

from __future__ import annotations

# operations: values of `gen_ai.operation.name`
CHAT = "chat"
TEXT_COMPLETION = "text_completion"
TEXT_TO_SPEECH = "text_to_speech"
SPEECH_TO_TEXT = "speech_to_text"
# No convention covers making a voice: names in the style of the two above.
CLONE_VOICE = "clone_voice"
DESIGN_VOICE = "design_voice"
PUBLISH_VOICE = "publish_voice"
UPDATE_VOICE = "update_voice"

# what is asked of whom
OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
OUTPUT_TYPE = "gen_ai.output.type"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_TOP_K = "gen_ai.request.top_k"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
REQUEST_CHOICE_COUNT = "gen_ai.request.choice.count"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"

# what came back
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
RESPONSE_STATUS = "gen_ai.response.status"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
HTTP_STATUS_CODE = "http.response.status_code"
ERROR_TYPE = "error.type"
# Not in the conventions; the spelling LiteLLM uses. Support cases are filed by it.
REQUEST_ID = "gen_ai.request.id"

# usage
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_INPUT_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION_INPUT_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
CACHE_WRITE_INPUT_TOKENS = "gen_ai.usage.cache_write.input_tokens"
REASONING_OUTPUT_TOKENS = "gen_ai.usage.reasoning.output_tokens"
AUDIO_INPUT_TOKENS = "gen_ai.usage.audio.input_tokens"
AUDIO_OUTPUT_TOKENS = "gen_ai.usage.audio.output_tokens"
TEXT_INPUT_TOKENS = "gen_ai.usage.text.input_tokens"
TEXT_OUTPUT_TOKENS = "gen_ai.usage.text.output_tokens"
CHARACTERS = "otel_zdr.usage.characters"
AUDIO_SECONDS = "otel_zdr.usage.audio_seconds"

# ours: what decides the coverage of a call, and how it ended
PRODUCT = "otel_zdr.product"
MODE = "otel_zdr.mode"
ZDR_PROVIDER = "otel_zdr.provider"
ATTEMPTS = "otel_zdr.attempts"
STREAM = "otel_zdr.request.stream"
NO_RETENTION_HINT = "otel_zdr.request.no_retention_hint"
END_REASON = "otel_zdr.response.end_reason"

# products (values of PRODUCT) and modes (values of MODE), as the coverage table of the policy names them
TTS = "tts"
STT = "stt"
LLM = "llm"
VOICE_CLONING = "voice_cloning"
VOICE_DESIGN = "voice_design"
SYNC = "sync"
STREAMING = "streaming"

# content: set only where the policy and the capture switch both allow it
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
DETAILS_EVENT = "gen_ai.client.inference.operation.details"

# metrics
DURATION_METRIC = "gen_ai.client.operation.duration"
TOKEN_METRIC = "gen_ai.client.token.usage"
TOKEN_TYPE = "gen_ai.token.type"
DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_BUCKETS = tuple(4.0**power for power in range(14))
