"""All that is wrong with a value, at once. msgspec is fast and stops at the first fault; this looks again when it does."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from sengol_api.review.errors import Problem, ValidationError

T = TypeVar("T")

END: Final = r"(?![\s\S])"
"""The very end of a text: a ``$`` would let a line feed pass behind it. It means the same in Python and in JSON Schema."""


def matching(pattern: str, says: str, code: str = "pattern") -> msgspec.Meta:
    """A constraint on texts with words for the person whose text does not fit.

    Args:
        pattern: a regular expression that means the same in Python and in JSON Schema.
        says: the problem in words.
        code: the problem for programs.
    """
    return msgspec.Meta(pattern=pattern, extra={"says": says, "code": code})


CONTROL_FREE: Final = matching(
    r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*" + END,
    "holds a control character; only tab and line breaks are allowed",
    "control_character",
)
ONE_LINE: Final = matching(r"^[^\x00-\x1f\x7f]*" + END, "holds a control character or a line break", "control_character")

MOST_PROBLEMS: Final = 100
_AT: Final = re.compile(r" - at `[^`]*`$")
_LENGTH: Final = re.compile(r"Expected `(\w+)` of length (<=|>=) (\d+)")
_RANGE: Final = re.compile(r"Expected `(\w+)` (<=|>=|<|>) (\S+)")
_HALF_PAIR: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_UNITS: Final = {"str": "characters", "array": "entries", "object": "entries"}


def decode(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Parse a JSON body.

    Raises:
        ValidationError: it is empty, not JSON, or nested too deeply to be meant.
    """
    if not body.strip():
        raise ValidationError([Problem("", "the body is empty; send a JSON object", "json_empty")])
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        problem = Problem("", "the body is nested too deeply", "json_depth")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if _HALF_PAIR.search(body):
            problem = Problem("", "the body holds half of a surrogate pair (\\uD800 to \\uDFFF alone)", "json_invalid")
        else:
            detail = _AT.sub("", str(error))
            detail = detail.removeprefix("JSON is malformed: ")
            problem = Problem("", f"the body is not JSON: {detail[:1].lower()}{detail[1:]}", "json_invalid")
    raise ValidationError([problem])


def convert(value: Any, kind: type[T], *, strict: bool = True) -> T:  # noqa: ANN401 - untrusted input
    """Turn plain data into a type.

    Args:
        value: what JSON or a query string gave.
        kind: a msgspec struct, or anything that msgspec converts to.
        strict: False to take "12" for a number, as query strings and the environment need.

    Raises:
        ValidationError: with every problem.
    """
    found, problems = check(value, kind, strict=strict)
    if found is None:
        raise ValidationError(problems)
    return found


def check(value: Any, kind: type[T], *, strict: bool = True) -> tuple[T | None, list[Problem]]:  # noqa: ANN401
    """Like :func:`convert`, but gives the problems instead of raising them."""
    try:
        return msgspec.convert(value, kind, strict=strict), []
    except (msgspec.ValidationError, RecursionError):
        return None, list(_limited(_problems(value, kind, "", strict)))


def _limited(problems: Iterator[Problem]) -> Iterator[Problem]:
    for count, problem in enumerate(problems):
        if count == MOST_PROBLEMS:
            yield Problem("", f"there are more than {MOST_PROBLEMS} problems; these are the first", "too_many_problems")
            return
        yield problem


def _problems(value: Any, annotation: Any, path: str, strict: bool) -> Iterator[Problem]:  # noqa: ANN401, FBT001
    try:
        msgspec.convert(value, annotation, strict=strict)
    except RecursionError:
        yield Problem(path, "is nested too deeply", "json_depth")
        return
    except msgspec.ValidationError as error:
        inner = _inner(value, _bare(annotation), path, strict)  # lazily: a hostile body has a hundred thousand problems
        first = next(inner, None)
        if first is None:
            yield _describe(path, _AT.sub("", str(error)), value, annotation)
            return
        yield from _wrong_size(path, value, annotation)
        yield first
        yield from inner


def _bare(annotation: Any) -> Any:  # noqa: ANN401 - any annotation
    """The type without its constraints, and without None where it is one of two."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in {Union, UnionType}:
        rest = [argument for argument in get_args(annotation) if argument is not NoneType]
        if len(rest) == 1:
            return _bare(rest[0])
    return annotation


def _inner(value: Any, kind: Any, path: str, strict: bool) -> Iterator[Problem]:  # noqa: ANN401, FBT001
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, Mapping):
        yield from _fields(value, kind, path, strict)
        return
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {list, tuple, frozenset, set} and isinstance(value, Sequence) and not isinstance(value, str):
        for position, item in enumerate(value):
            yield from _problems(item, arguments[0], f"{path}[{position}]", strict)
    elif origin is dict and isinstance(value, Mapping):
        for key, item in value.items():
            yield from _problems(key, arguments[0], _join(path, str(key)[:60]), strict)
            yield from _problems(item, arguments[1], _join(path, str(key)[:60]), strict)


def _fields(value: Mapping[str, Any], kind: type[msgspec.Struct], path: str, strict: bool) -> Iterator[Problem]:  # noqa: FBT001
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in value:
        if name not in fields:
            short = str(name)[:60]
            near = difflib.get_close_matches(short, fields, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(fields)}"
            yield Problem(_join(path, short), f"is not a field here{hint}", "unknown_field")
    right = {}
    for name, field in fields.items():
        where = _join(path, name)
        if name in value:
            problems = _problems(value[name], field.type, where, strict)
            first = next(problems, None)
            if first is None:
                right[name] = value[name]
            else:
                yield first
                yield from problems
        elif field.required:
            yield Problem(where, "is missing", "missing")
    if all(name in right for name, field in fields.items() if field.required):
        # What is right field by field may still break a rule on several fields, which msgspec checks last.
        try:
            msgspec.convert(right, kind, strict=strict)
        except msgspec.ValidationError as error:
            yield _describe(path, _AT.sub("", str(error)), right, kind)


def _wrong_size(path: str, value: Any, annotation: Any) -> Iterator[Problem]:  # noqa: ANN401
    """A list of too many or too few entries, beside what is wrong with the entries."""
    for bound in _constraints(annotation):
        if bound.max_length is not None and len(value) > bound.max_length:
            yield Problem(path, f"takes at most {bound.max_length} entries, got {len(value)}", "too_long")
        if bound.min_length is not None and len(value) < bound.min_length:
            yield Problem(path, f"takes at least {bound.min_length} entries, got {len(value)}", "too_short")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _describe(path: str, message: str, value: Any, annotation: Any) -> Problem:  # noqa: ANN401 - a table of cases
    if (match := _LENGTH.search(message)) and hasattr(value, "__len__"):
        bound = "at most" if match[2] == "<=" else "at least"
        text = f"takes {bound} {match[3]} {_UNITS.get(match[1], 'entries')}, got {len(value)}"
        return Problem(path, text, "too_long" if match[2] == "<=" else "too_short")
    if "matching regex" in message:
        return Problem(path, *_pattern_problem(annotation))
    if match := _RANGE.search(message):
        return Problem(path, f"must be {match[2]} {match[3]}", "out_of_range")
    choices = _choices(annotation)
    if choices and (message.startswith("Invalid enum value") or isinstance(value, str)):
        return Problem(path, f"takes one of {', '.join(choices)}", "not_a_choice")
    if message.startswith("Expected"):
        names = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list",
                 "object": "an object", "null": "null"}  # fmt: skip
        spoken = re.sub(r"`([^`]*)`", lambda m: " or ".join(names.get(p.strip(), p.strip()) for p in m[1].split("|")), message)
        return Problem(path, spoken.replace("Expected", "takes", 1), "wrong_type")
    return Problem(path, message[:1].lower() + message[1:], "invalid")


def _pattern_problem(annotation: Any) -> tuple[str, str]:  # noqa: ANN401
    for argument in _constraints(annotation):
        if argument.pattern and argument.extra:
            return argument.extra["says"], argument.extra["code"]
    return "does not have the form that is asked for", "pattern"


def _constraints(annotation: Any) -> Iterator[msgspec.Meta]:  # noqa: ANN401
    if get_origin(annotation) is Annotated:
        kind, *rest = get_args(annotation)
        yield from (item for item in rest if isinstance(item, msgspec.Meta))
        yield from _constraints(kind)
    elif get_origin(annotation) in {Union, UnionType}:
        for argument in get_args(annotation):
            yield from _constraints(argument)


def _choices(annotation: Any) -> tuple[str, ...]:  # noqa: ANN401
    kind = _bare(annotation)
    return tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()
