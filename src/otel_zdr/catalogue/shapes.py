"""What a value may look like to survive under an allowed key.

The shapes are closed: a number, a bool, a closed enumeration, a token, a short list of tokens, or
JSON that is pruned to its metadata leaves. Text with spaces, vectors and bytes fit none of them.
A shape is checked on values of exactly the built-in types, the length first, with one anchored match.
"""

from __future__ import annotations

import re
from functools import cache

from otel_zdr.catalogue.words import word_set

NUMBER = "number"  # int within 64 bits or float
USAGE = "usage"  # number, decimal text, or JSON pruned in the context of usage
COUNT = "count"  # as USAGE, but no number from a thousand million on
FIGURE = "figure"  # as USAGE, but no number from a million million on
ELAPSED = "elapsed"  # a number below a day in nanoseconds, or a time since 1970 in micro- or nanoseconds
SMALL = "small"  # a number below a thousand million, or a bool
TIMING = "timing"  # number, or an ISO 8601 / decimal timestamp
DECIMAL = "decimal"  # a number, or decimal text below a thousand million
QUANTITY = "quantity"  # as DECIMAL, or a duration, a date and time, or a list of at most 16 of these as text
BOOL = "bool"
FLAG = "flag"  # a bool, or its name as text
TOKEN = "token"  # 1 to 128 characters of [A-Za-z0-9._:/@+-]
MODEL = "model"  # a token with a letter in it, or of few digits
TOKENS = "tokens"  # a token, or a list of at most 16
SCALAR = "scalar"  # number, bool, token or a list of at most 16 tokens
ROUTE = "route"  # a token that may hold the braces of a route template
QUALNAME = "qualname"  # a token that may hold <locals>, <lambda>, <module>
JSON = "json"  # pruned: objects that may hold usage
EVIDENT = "evident"  # pruned: what an application's code was given, to usage that adds up
VENDOR_ID = "vendor_id"  # a token that begins as vendors' ids do: call_…, req_…
PARAMETERS = "parameters"  # pruned: the parameters of a request
ENUM_PREFIX = "enum:"  # "enum:http_method": one of ENUMS["http_method"]

MAX_TOKEN = 128
MAX_TOKENS = 16
MAX_JSON = 64 * 1024
MAX_DEPTH = 32

# A number can spell a card or an account. Under a key that a source lists it is what the source says, whatever
# its size; under a key that only its words speak for it has to be of the size that such figures have.
MAX_COUNT = 10**9
MAX_FIGURE = 10**12
MAX_ELAPSED = 10**14
#: From 2017 to 2038 in microseconds, which no card begins with, and in nanoseconds, which are longer than one.
EPOCHS = ((1_483_228_800 * 10**6, 2**31 * 10**6), (1_483_228_800 * 10**9, 2**31 * 10**9))

# A text is made of nothing but certain characters where `strip` leaves nothing of it: quicker than a regular
# expression, which takes memory of its own for every match. The frequent ones come first.
PLAIN_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_.ABCDEFGHIJKLMNOPQRSTUVWXYZ:@+"
TOKEN_CHARACTERS = PLAIN_CHARACTERS + "/"
# Patterns of rarer values: compiled when first used (`compiled`), for the sake of start-up.
ROUTE_PATTERN = r"[A-Za-z0-9._:/@+{}<>*-]{1,128}"
QUALNAME_PATTERN = r"(?:[A-Za-z0-9._:/@+-]|<(?:locals|lambda|module|genexpr)>){1,128}"
TIMESTAMP_PATTERN = r"[0-9]{1,4}[0-9T:.+Z-]{0,40}"
DECIMAL_PATTERN = r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?"
#: A parameter, a code or a port as text: too short for a phone, a card or an account.
SHORT_DECIMAL_PATTERN = r"-?[0-9]{1,9}(?:\.[0-9]{1,18})?(?:e-?[0-9]{1,3})?"
QUANTITY_PATTERN = (
    rf"(?:{SHORT_DECIMAL_PATTERN}|(?:[0-9]{{1,6}}(?:\.[0-9]{{1,9}})?(?:ms|us|ns|[smhd])){{1,4}}"
    r"|20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2}))"
)
FLAG_TEXTS = word_set("true false True False")


def is_token(text: str) -> bool:
    """1 to 128 characters of ``[A-Za-z0-9._:/@+-]``, and not an address: ``//`` never occurs in an id."""
    return 0 < len(text) <= MAX_TOKEN and not text.strip(TOKEN_CHARACTERS) and "//" not in text


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """The compiled pattern; unlike the cache of `re`, an application's patterns never push it out."""
    return re.compile(pattern)


def may_name_a_model(token: str) -> bool:
    """Whether a token may be a model's id: without a letter and longer it is a phone, a card or an account."""
    return len(token) < 10 or token.upper() != token.lower()


#: Closed enumerations: for keys that an outside caller fills in, or that the conventions close.
ENUMS: dict[str, frozenset[str]] = {
    "http_method": word_set("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH QUERY HTTP _OTHER"),
    "scheme": word_set("http https ws wss ftp grpc grpcs tcp udp unix amqp amqps kafka redis rediss"),
    "http_flavor": word_set("1.0 1.1 2 2.0 3 3.0 HTTP/1.0 HTTP/1.1 HTTP/2 HTTP/2.0 HTTP/3 SPDY QUIC"),
    "protocol": word_set(
        "http https ws wss websocket grpc amqp mqtt kafka spdy quic stdio pipe tcp udp jsonrpc"
    ),
    "transport": word_set(
        "tcp udp pipe unix quic inproc other ip_tcp ip_udp stdio http https sse websocket streamable_http"
    ),
    "network_type": word_set("ipv4 ipv6 unix inet inet6"),
    "role": word_set(
        "system user assistant tool function developer model human ai critic agent ROLE_USER ROLE_AGENT"
    ),
    "graphql_type": word_set("query mutation subscription"),
    "tool_choice": word_set("auto none required any"),
    "mcp_method": word_set(
        "initialize ping notifications/initialized notifications/cancelled notifications/progress"
        " notifications/message notifications/prompts/list_changed notifications/resources/list_changed"
        " notifications/resources/updated notifications/roots/list_changed notifications/tools/list_changed"
        " prompts/get prompts/list resources/list resources/read resources/subscribe resources/unsubscribe"
        " resources/templates/list roots/list sampling/createMessage completion/complete elicitation/create"
        " logging/setLevel tools/call tools/list server/discover tasks/get tasks/list tasks/cancel"
        " tasks/result"
    ),
    "system_state": word_set(
        "idle used free cached buffered buffers shared available user system nice iowait irq softirq"
        " steal guest interrupt in out read write transmit receive major minor rss vms rss_shared"
        " voluntary involuntary established listen slab_reclaimable slab_unreclaimable"
    ),
    "socket_state": word_set(
        "ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING"
        " NONE DELETE_TCB IDLE BOUND"
    ),
    "asyncio": word_set("coroutine future to_thread finished exception cancelled timeout"),
    "db_operation": word_set(
        "ADD ADD_DOCUMENTS AGGREGATE ALTER ANALYZE APPEND ATTACH AUTH BATCH BATCH_UPDATE_POINTS BEGIN"
        " BUILDINFO BULK BatchGetItem BatchWriteItem CALL CLIENT CLOSE COMMIT CONNECT COPY COUNT CREATE"
        " CREATE_COLLECTION CREATE_INDEX CREATE_TABLE CreateItem CreateTable DEALLOCATE DECLARE DECR"
        " DECRBY DEL DELETE DELETE_COLLECTION DELETE_VECTORS DESC DESCRIBE DETACH DISTINCT DO DOWNLOAD"
        " DROP DROP_INDEX DROP_TABLE DeleteItem DeleteTable DescribeTable EMBED END EVAL EVALSHA EXEC"
        " EXECUTE EXISTS EXPIRE EXPLAIN FETCH FIND FLUSH GET GETMORE GETSET GET_COLLECTION"
        " GET_OR_CREATE_COLLECTION GRANT GetItem HDEL HEAD HELLO HGET HGETALL HMGET HMSET HSET INCR INCRBY"
        " INDEX INFO INSERT ISMASTER KEYS KILL LIST LISTEN LLEN LOAD LOCK LPOP LPUSH LRANGE ListTables"
        " MAPREDUCE MERGE MGET MODIFY MSET MULTI NOTIFY OPTIMIZE PATCH PEEK PING POST PRAGMA PREPARE"
        " PUBLISH PUT PutItem QUERY QUERY_BATCH_POINTS QUERY_POINTS Query READ RECOMMEND REINDEX RELEASE"
        " RENAME REPLACE RERANK RESET RETRIEVE REVOKE ROLLBACK RPOP RPUSH ReadItem ReplaceItem SADD"
        " SAVEPOINT SCAN SCRIPT SCROLL SEARCH SEARCH_GROUPS SELECT SET SETEX SHOW SMEMBERS SREM START"
        " SUBSCRIBE Scan TRUNCATE TTL TransactGetItems TransactWriteItems UNLOCK UNSUBSCRIBE UPDATE"
        " UPDATE_COLLECTION UPLOAD UPLOAD_COLLECTION UPLOAD_POINTS UPLOAD_RECORDS UPSERT UPSERT_POINTS USE"
        " UpdateItem UpsertItem VACUUM VALUES WATCH WITH WRITE XACK XADD XREAD ZADD ZRANGE ZREM add"
        " add_documents aggregate alter analyze append attach auth batch batch_update_points begin"
        " buildInfo buildinfo bulk bulkWrite call client close commit connect copy count countDocuments"
        " create createIndexes create_collection create_index create_table deallocate declare decr decrby"
        " del delete deleteMany deleteOne delete_collection delete_vectors desc describe detach distinct"
        " do download drop dropIndexes drop_index drop_table embed end endSessions eval evalsha exec"
        " execute executemany exists expire explain fetch find findAndModify findOne flush get getMore"
        " get_collection get_or_create_collection getmore getset grant hdel head hello hget hgetall hmget"
        " hmset hset incr incrby index info insert insertMany insertOne isMaster ismaster keys kill"
        " killCursors list listCollections listIndexes listen llen load lock lpop lpush lrange mapReduce"
        " mapreduce merge mget modify mset multi notify optimize patch peek ping post pragma prepare"
        " publish put query query_batch_points query_points read recommend reindex release rename replace"
        " replaceOne rerank reset retrieve revoke rollback rpop rpush sadd saslContinue saslStart"
        " savepoint scan script scroll search search_groups select set setex show smembers srem start"
        " subscribe truncate ttl unlock unsubscribe update updateMany updateOne update_collection upload"
        " upload_collection upload_points upload_records upsert upsert_points use vacuum values watch with"
        " write xack xadd xread zadd zrange zrem"
    ),
    "convention": word_set(
        "UNSET AF AN AS BoundedStaleness ClusterIP ConsistentPrefix DEVELOPMENT DROP ERROR EU Eventual"
        " ExternalName Failed HIGH LOW LoadBalancer MEDIUM MISSION_CRITICAL NA NodePort OC OK PRODUCTION"
        " Pending RECEIVED RECORD_AND_SAMPLE RECORD_ONLY Running SA SENT STAGING Session Strong"
        " Succeeded TEST Unknown abandon aborted active aix all already_exists any available"
        " back-forward back-forward-cache branch broadcasting buffers busy cached cancellation cancelled"
        " cdma cdma2000_1xrtt cell chat_completions close close_wait closed closing cls clustering"
        " complete configMap cpp create darwin data_loss datasource dead_letter deadline_exceeded"
        " decoder default defer defunct degraded delay delete deliver direct disabled dotnet downwardAPI"
        " dragonflybsd each_quorum ec2 edge edit ehrpd emptyDir encoder erlang error established evdo_0"
        " evdo_a evdo_b executing fail failed failed_precondition failure false fargate fcp fid fifo"
        " fin_wait_1 fin_wait_2 finalizing free freebsd gateway general go good gprs gsm hpux hsdpa hspa"
        " hspap hsupa http iden idle in in_progress inp insert internal interrupt invalid_argument"
        " involuntary iowait iwlan java json_object json_schema kernel kotlin last_ack lcp linux listen"
        " local local_one local_quorum local_serial lte lte_ca major merged minor navigate"
        " needs-improvement needs_cleaning netbsd nice nodejs none normal not_found nr nrnsa offline ok"
        " one open openbsd other out out_of_range pass pending permission_denied persistentVolumeClaim"
        " php poor predicted_failure prerender process publish pubsub python quorum read receive"
        " reclaimable reload remote reserved resource_exhausted responses restore ruby running rust"
        " secret send serial settle shared skip skipped sleeping solaris split ssl stale static stderr"
        " stdout steal stopped succeeded success swift syn_received syn_recv syn_sent system tag"
        " targeting_match td_scdma terminated terminating text three time_wait timed_out timeout timer"
        " tls total transaction transmit true ttfb two umts unauthenticated unavailable unimplemented"
        " unknown unreclaimable used user voluntary wait waiting webjs wifi windows wip wired write z_os"
        " zos"
    ),
    "token_type": word_set(
        "input output total prompt completion cached cache cache_read cache_write cache_creation"
        " cache_read_input cache_creation_input input_cached cached_input reasoning output_reasoning thinking"
        " text image audio video document input_audio output_audio input_text output_text input_image"
        " output_image response none read write creation unknown"
    ),
    "output_type": word_set(
        "text json image speech audio video embeddings embeddings_by_type embeddings_floats structured"
        " mp3 wav pcm opus flac aac ogg ulaw alaw mp3_22050_32 mp3_24000_48 mp3_44100_32 mp3_44100_64"
        " mp3_44100_96 mp3_44100_128 mp3_44100_192 pcm_8000 pcm_16000 pcm_22050 pcm_24000 pcm_32000"
        " pcm_44100 pcm_48000 ulaw_8000 alaw_8000 opus_48000_32 opus_48000_64 opus_48000_96"
        " opus_48000_128 opus_48000_192"
    ),
    "kind": word_set(
        "AGENT CHAIN EMBEDDING EVALUATOR GUARDRAIL LLM PROMPT RERANKER RETRIEVER TOOL UNKNOWN WORKFLOW"
        " TASK AUDIO agent chain embedding evaluator guardrail llm prompt reranker retriever tool unknown"
        " workflow task session team operation step text http parser event span generation log"
        " pending_span chat completion rerank DEBUG DEFAULT WARNING ERROR CLIENT SERVER INTERNAL PRODUCER"
        " CONSUMER LOCAL_ROOT enabled disabled adaptive"
    ),
    "own": word_set("llm stt tts voice_cloning voice_design sync streaming interrupted cancelled abandoned"),
    "input_type": word_set("query document text tokens search_query search_document"),
    "finish_reason": word_set(
        "stop length tool_calls tool_call function_call content_filter end_turn max_tokens stop_sequence"
        " tool_use pause_turn refusal error cancelled canceled completed incomplete failed in_progress"
        " eos_token eos tool-calls content-filter unknown other STOP MAX_TOKENS SAFETY RECITATION LANGUAGE"
        " OTHER BLOCKLIST PROHIBITED_CONTENT SPII MALFORMED_FUNCTION_CALL FINISH_REASON_UNSPECIFIED"
        " COMPLETE max_output_tokens model_context_window_exceeded guardrail_intervened content_filtered"
        " model_length timeout interrupted success abort recitation safety load END_TURN TOOL_USE"
        " TOOL_CALL ERROR STOP_SEQUENCE FINISH LENGTH TOOL_CALLS CONTENT_FILTER"
    ),
}
#: Keys of these enumerations keep a placeholder for an unknown value, as the conventions ask for.
ENUM_OTHER: dict[str, str] = {"http_method": "_OTHER"}
