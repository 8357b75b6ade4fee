"""Keys and names that nobody listed, as conditions over their words (`otel_zdr.catalogue.vocabulary`).

The Collector's language has no word splitter, but ``ToSnakeCase`` makes of ``acme.usageMetadata.promptTokenCount``
the text ``acme_usage_metadata_prompt_token_count``, and what the vocabulary asks of the words is regular.
"""

from __future__ import annotations

from otel_zdr import catalogue
from otel_zdr.catalogue import parameters
from otel_zdr.catalogue import vocabulary as v
from otel_zdr.collector.ottl import all_of, any_of, match, words

_KEY = "[A-Za-z][A-Za-z0-9]*(?:[._-][A-Za-z0-9]+)*"
_INDEX = r"(?:^|\.)[0-9]+(?:\.|$)"
_NEW = "[a-z][a-z0-9]{0,19}"
_known = catalogue._lookup.words


def _some(found: frozenset[str]) -> str:
    return words(found)


_F = _some(v._FIGURE_WORDS)
_K = _some(_known | v._MODEL_WORDS)
#: Of the first two words (after ``com`` and the like) any may be a new name, where that is marked with a plus.
_LEAD = f"(?:[+](?:{_some(v._REGISTERED)}_)?(?:{_NEW}_){{0,2}})?"


def _within(*kinds: str) -> str:
    """Each kind occurs among the words. (Python asks for the last words; here a number is at stake, no text.)"""
    if len(kinds) == 1:
        return f"(?:^|_){kinds[0]}(?:_|$)"
    one, other = kinds
    return f"(?:^|_)(?:{one}_(?:.*_)?{other}|{other}_(?:.*_)?{one})(?:_|$)"


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
_COMPANIONS = _within(_some(v._COMPANIONS))
#: What makes a figure stands among the last words, which are all of figures.
_HINT = (
    f"(?:^|_){_some(v._UNITS | v._COUNTABLE | v._LOOSE_UNITS | v._TIMES | v._LENGTHS | {'time'})}(?:_{_F})*$"
)


_FIGURE = f"{_F}(?:_{_F})*"


def _of_known_words(name: str, last: str, new: str) -> str:
    """Whether ``name`` is made of words of known keys and ends in ``last``.

    ``new``: the condition under which it may begin with a new name. The known words are many, so they are
    written once, and the condition puts the mark before the name.
    """
    lead = f'When(() => {new}, "+", "")'
    return match(f'Concat([{lead}, ToSnakeCase({name})], "")', f"^{_LEAD}(?:{_K}_)*(?:{last})$")


def _is_a_figure(snake: str) -> str:
    return all_of(match(snake, _HINT), any_of(match(snake, _PLAIN_FIGURE), match(snake, _LOOSE_FIGURE)))


def _well_formed(name: str) -> str:
    return all_of(match(name, f"^{_KEY}$"), f"not {match(name, _INDEX)}")


def figure(name: str) -> str:
    """Whether ``name`` (an expression) is usage or timing by its words. Cheap questions come first."""
    snake = f"ToSnakeCase({name})"
    return all_of(
        f"Len({name}) <= 128",
        _is_a_figure(snake),
        _well_formed(name),
        # Units that other things have too need company, or known words only.
        _of_known_words(name, _FIGURE, any_of(match(snake, _PLAIN_FIGURE), match(snake, _COMPANIONS))),
    )


_OPERATIONAL = f"^(?:{_some(_known)}_)*{_some(catalogue._OPERATIONAL)}$"


def operational(name: str) -> str:
    """Whether ``name`` counts or measures, all in words of known keys."""
    return match(f"ToSnakeCase({name})", _OPERATIONAL)


_LAST = (
    "(?:^|_)(?:models?|name|id|ids|reasons?|service_tier|system_fingerprint|provider|version|environment)$"
)
_REFERENCE = (
    f"(?:{_some(v._REFERENCE_WORDS)}_)*?(?:{_some(v._STRONG_REFERENCES)}|(?:call|use)_(?:.*_)?(?:tool|function)"
    f"|(?:tool|function)_(?:.*_)?(?:call|use))_(?:{_some(v._REFERENCE_WORDS)}_)*ids?"
)
_PROVIDED = (
    f"(?:^|_){_some(v._PROVIDED)}_(?:.*_)?provider(?:_name)?$|(?:^|_)provider_{_some(v._PROVIDED)}_name$"
)
_NAMED = (
    f"{_REFERENCE}|model(?:_(?:name|id|version))?|{_some(v._NAMED)}_name|service_tier|system_fingerprint|environment"
    "|provider(?:_name)?|(?:finish|stop)_reasons?"
)
_PARAMETER = words("_".join(name) for name in parameters._NAMES)
_MODEL = "(?:^|_)models?(?:_(?:name|id|version))?$"


def may_be_spelt(key: str) -> str:
    """The quick look at the last words of ``key``."""
    snake = f"ToSnakeCase({key})"
    return any_of(match(snake, _HINT), match(snake, _LAST), match(snake, f"_{_PARAMETER}$"))


def is_spelt(key: str) -> str:
    """Whether ``key`` is made of known words and ends in those of a figure or a name."""
    snake = f"ToSnakeCase({key})"
    new = any_of(f"not {match(snake, _HINT)}", match(snake, _PLAIN_FIGURE), match(snake, _COMPANIONS))
    others = match(snake, _within(_some(v._OTHER_OWNERS)))
    known = _of_known_words(key, f"{_FIGURE}|{_NAMED}|{_PARAMETER}", new)
    return all_of(_well_formed(key), f"not {others}", known)


def tells_a_figure(key: str) -> str:
    """Whether a key that is spelt in known words is one of usage or timing."""
    return all_of(f"Len({key}) <= 128", _is_a_figure(f"ToSnakeCase({key})"))


def may_be_large(key: str, figure: str) -> str:
    """``figure`` under a key that counts neither tokens nor characters."""
    return all_of(figure, f"not {match(f'ToSnakeCase({key})', _within(_some(v.COUNTED)))}")


def tells_a_time(key: str) -> str:
    """Whether a key of a figure is one of a time, and of nothing that is counted or paid."""
    snake = f"ToSnakeCase({key})"
    times = match(snake, _within(_some(v._TIMES | v._LENGTHS | {"time"})))
    return all_of(times, f"not {match(snake, _within(_some(v._UNITS | v._LOOSE_UNITS | v._MEDIA)))}")


def tells_a_model(key: str) -> str:
    return match(f"ToSnakeCase({key})", _MODEL)


def tells_a_parameter(key: str) -> str:
    """Whether a key that is spelt in known words names a parameter of a request."""
    owners = _some(parameters._OWNERS | v.VENDORS)
    return match(f"ToSnakeCase({key})", f"(?:^|_){owners}_(?:.*_)?{_PARAMETER}$")


def tells_a_name(key: str) -> str:
    """Whether a key that is spelt in known words names a model, a reference or a short name."""
    snake = f"ToSnakeCase({key})"
    provided = any_of(f"not {match(snake, '_provider(?:_name)?$')}", match(snake, _PROVIDED))
    return all_of(match(snake, _LAST), provided)


_FIGURE_PREFIXES = sorted(
    prefix for prefix, rule in catalogue._lookup.tails.items() if rule.keep and rule.content_class == "usage"
)


def below_kept_prefix(key: str) -> str:
    """Whether ``key`` stands below a prefix of figures (``gen_ai.cost.input``)."""
    prefix = words(prefix.replace(".", "_") for prefix in _FIGURE_PREFIXES)
    starts = words(prefix + "." for prefix in _FIGURE_PREFIXES)
    return all_of(match(key, f"^{starts}"), match(f"ToSnakeCase({key})", f"^{prefix}(?:_{_F})+$"))
