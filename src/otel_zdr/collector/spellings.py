"""Keys and names that nobody listed, as conditions over their words (`otel_zdr.catalogue.vocabulary`).

The Collector's language has no word splitter, but ``ToSnakeCase`` makes of ``acme.usageMetadata.promptTokenCount``
the text ``acme_usage_metadata_prompt_token_count``, and what the vocabulary asks of the words is regular.
"""

from __future__ import annotations

from otel_zdr import catalogue
from otel_zdr.catalogue import vocabulary as v
from otel_zdr.collector.ottl import all_of, any_of, match, words

_KEY = "[A-Za-z][A-Za-z0-9]*(?:[._-][A-Za-z0-9]+)*"
_INDEX = r"(?:^|\.)[0-9]+(?:\.|$)"
_NEW = "[a-z][a-z0-9]{0,19}"
_known = catalogue._lookup.words


def _some(found: frozenset[str]) -> str:
    return words(found)


_F = _some(v._FIGURE_WORDS)
_K = _some(_known)
_TAIL = f"(?:_{_F})*$"
_LEAD = f"^(?:{_some(v._REGISTERED)}_)?(?:{_NEW}_){{0,2}}"


def _prefix(known: frozenset[str] = frozenset()) -> str:
    """All words known; of the first two (after ``com`` and the like) any may be a new name."""
    return f"{_LEAD}(?:{_some(_known | known)}_)*" if known else f"{_LEAD}(?:{_K}_)*"


def _within(*kinds: str) -> str:
    """Each kind occurs among the words. (Python asks for the last words; here a number is at stake, no text.)"""
    if len(kinds) == 1:
        return f"(?:^|_){kinds[0]}(?:_|$)"
    one, other = kinds
    return f"(?:^|_)(?:{one}_(?:.*_)?{other}|{other}_(?:.*_)?{one})(?:_|$)"


_FIGURE = f"{_prefix()}{_F}{_TAIL}"
_PLAIN_FIGURE = "|".join(
    (
        _within(_some(v._UNITS)),
        _within(_some(v._COUNTABLE), _some(v._COUNTING)),
        _within(_some(v._TIMES)),
        _within(_some(v._LENGTHS), _some(v._MEDIA)),
        _within("time", _some(v._TIME_KINDS)),
    )
)
_LOOSE_FIGURE = _within(_some(v._LOOSE_UNITS | v._LENGTHS))
_LOOSE_CONTEXT = f"^(?:{_K}(?:_|$))+$|" + _within(_some(v._COMPANIONS))
#: What makes a figure stands among the last words, which are all of figures.
_HINT = (
    f"(?:^|_){_some(v._UNITS | v._COUNTABLE | v._LOOSE_UNITS | v._TIMES | v._LENGTHS | {'time'})}(?:_{_F})*$"
)


def figure(name: str) -> str:
    """Whether ``name`` (an expression) is usage or timing by its words. Cheap questions come first."""
    snake = f"ToSnakeCase({name})"
    return all_of(
        f"Len({name}) <= 128",
        match(snake, _HINT),
        any_of(
            match(snake, _PLAIN_FIGURE), all_of(match(snake, _LOOSE_FIGURE), match(snake, _LOOSE_CONTEXT))
        ),
        match(name, f"^{_KEY}$"),
        f"not {match(name, _INDEX)}",
        match(snake, _FIGURE),
    )


_OPERATIONAL = f"^(?:{_K}_)*{_some(catalogue._OPERATIONAL)}$"


def operational(name: str) -> str:
    """Whether ``name`` counts or measures, all in words of known keys."""
    return match(f"ToSnakeCase({name})", _OPERATIONAL)


_LAST = "(?:^|_)(?:models?|name|id|ids|reasons?|tier|fingerprint|provider|version|environment)$"
_REFERENCE = (
    f"(?:{_some(v._REFERENCE_WORDS)}_)*?(?:{_some(v._STRONG_REFERENCES)}|(?:call|use)_(?:.*_)?(?:tool|function)"
    f"|(?:tool|function)_(?:.*_)?(?:call|use))_(?:{_some(v._REFERENCE_WORDS)}_)*ids?"
)
_PROVIDED = (
    f"(?:^|_){_some(v._PROVIDED)}_(?:.*_)?provider(?:_name)?$|(?:^|_)provider_{_some(v._PROVIDED)}_name$"
)
_MODEL = f"{_prefix(v._MODEL_WORDS)}(?:model|model_(?:name|id|version))$"
_NAMED = (
    f"{_prefix()}(?:{_REFERENCE}|{_some(v._NAMED)}_name|service_tier|system_fingerprint|environment"
    "|provider(?:_name)?|(?:finish|stop)_reasons?)$"
)


def named(key: str) -> str:
    """Whether ``key`` names a model, a reference or a short name by its words: its value is a token."""
    snake = f"ToSnakeCase({key})"
    return all_of(
        match(snake, _LAST),
        any_of(
            match(snake, _MODEL),
            all_of(
                match(snake, _NAMED),
                any_of(f"not {match(snake, '_provider(?:_name)?$')}", match(snake, _PROVIDED)),
            ),
        ),
        match(key, f"^{_KEY}$"),
        f"not {match(key, _INDEX)}",
    )


_FIGURE_PREFIXES = sorted(
    prefix for prefix, rule in catalogue._lookup.tails.items() if rule.keep and rule.content_class == "usage"
)


def below_kept_prefix(key: str) -> str:
    """Whether ``key`` stands below a prefix of figures (``gen_ai.cost.input``)."""
    prefix = words(prefix.replace(".", "_") for prefix in _FIGURE_PREFIXES)
    starts = words(prefix + "." for prefix in _FIGURE_PREFIXES)
    return all_of(match(key, f"^{starts}"), match(f"ToSnakeCase({key})", f"^{prefix}(?:_{_F})+$"))
