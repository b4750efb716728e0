"""Which small faults ("mutants") can be made in a module: one change of its syntax tree each.

The changes are those that break promises of a resilience policy: a bound that is off by one, a condition the wrong way round, a
place that is not given back because a statement or a handler is missing. Left out is what a test should not pin down: texts,
annotations, decorators, and locks, whose absence shows only by chance.
"""

import ast
import types
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

_AT_BOUND = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_OPPOSITE: dict[type[ast.AST], type[ast.AST]] = {ast.FloorDiv: ast.Div, ast.Pow: ast.Mult, ast.Mod: ast.Div}
_PAIRS: list[tuple[Any, Any]] = [
    *[(ast.Eq, ast.NotEq), (ast.Is, ast.IsNot), (ast.In, ast.NotIn), (ast.Lt, ast.GtE), (ast.Gt, ast.LtE)],
    *[(ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.And, ast.Or), (ast.BitAnd, ast.BitOr)],
]
_NAMES: dict[str, str] = {}
_NAME_PAIRS = [("min", "max"), ("any", "all"), ("floor", "ceil"), ("pop", "popleft"), ("append", "appendleft")]
for _one, _other in _PAIRS:
    _OPPOSITE |= {_one: _other, _other: _one}
for _name, _opposite in _NAME_PAIRS:
    _NAMES |= {_name: _opposite, _opposite: _name}
_REMOVABLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Delete, ast.Break, ast.Continue)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SKIPPED = {"annotation", "returns", "decorator_list", "bases"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one fault.

    Attributes:
        module: path from the folder of the toolkit, ``breaker/core.py``.
        where: function or class, ``BreakerCore.enter``.
        old: the statement as it is; of a compound one, its first line.
        new: the statement with the fault.
        lines: of the statement.
        code: of the whole module, compiled.
    """

    module: str
    where: str
    old: str
    new: str
    lines: range
    code: types.CodeType

    @property
    def key(self) -> str:
        """What names it in the list of explained survivors, on whatever line it stands."""
        return f"`{self.where}`: `{self.old}` → `{self.new}`"


class _Place(NamedTuple):
    """A node, by what holds it and where; the statement that it belongs to, and the function or class around that."""

    container: Any
    index: Any
    statement: ast.AST
    where: str
    in_function: bool


def mutants(source: str, module: str, path: Path) -> list[Mutant]:
    """All mutants of a module.

    Args:
        source: of the module.
        module: its path from the folder of the toolkit.
        path: of its file, for tracebacks.
    """
    tree = ast.parse(source)
    found: list[Mutant] = []
    times: Counter[tuple[str, str, str]] = Counter()
    for container, index, statement, where, in_function in _places(tree, None, "", in_function=False):
        node, old = container[index], _text(statement)
        for changed in _changes(node, in_function=in_function):
            container[index] = ast.fix_missing_locations(ast.copy_location(changed, node))
            new = _text(container[index] if node is statement else statement)
            code = compile(tree, str(path), "exec")
            container[index] = node
            times[where, old, new] += 1
            again = times[where, old, new]  # the same statement stands in the function more than once
            found.append(Mutant(module, where, old, new if again == 1 else f"{new} ({again})", _lines(statement), code))
    return found


def _places(node: ast.AST, statement: ast.AST | None, where: str, *, in_function: bool) -> Iterator[_Place]:
    for name, value in ast.iter_fields(node):
        if name in _SKIPPED:
            continue
        for container, index in [(value, each) for each in range(len(value))] if isinstance(value, list) else [(vars(node), name)]:
            child = container[index]
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr) or _is_for_types(child):
                continue
            part = child if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case) else statement
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                inside = in_function or isinstance(child, _FUNCTIONS)
                yield from _places(child, part, f"{where}.{child.name}".lstrip("."), in_function=inside)
            else:
                yield _Place(container, index, part or child, where or "module", in_function)
                yield from _places(child, part, where, in_function=in_function)


def _is_for_types(node: ast.AST) -> bool:
    match node:
        case ast.If(ast.Name("TYPE_CHECKING")) | ast.Assign(value=ast.Call(ast.Name("TypeVar" | "ParamSpec"))):
            return True
        case ast.AnnAssign(annotation=ast.Name("TypeAlias")):
            return True
    return False


def _changes(node: ast.AST, *, in_function: bool) -> Iterator[ast.AST]:
    yield from _changed_operators(node)
    yield from _changed_values(node)
    match node:
        case ast.Return(ast.Constant(None | bool())):  # a truth value is changed where it stands
            pass
        case ast.Return(ast.expr()):
            yield ast.Return(ast.Constant(None))
        case ast.If(test) | ast.While(test) | ast.IfExp(test) if not isinstance(test, ast.Compare | ast.UnaryOp | ast.Constant):
            yield type(node)(**dict(ast.iter_fields(node)) | {"test": ast.UnaryOp(ast.Not(), test)})
        case ast.ExceptHandler(name=name, body=body):
            yield ast.ExceptHandler(ast.Tuple([], ast.Load()), name, body)  # catches nothing
        case ast.match_case(pattern, _, body):
            yield ast.match_case(pattern, ast.Constant(value=False), body)
        case ast.Expr(ast.Constant()):  # a docstring
            pass
        case _ if in_function and isinstance(node, _REMOVABLE):
            yield ast.Pass()


def _changed_operators(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left, ops, comparators):
            for index, op in enumerate(ops):
                for table in (_AT_BOUND, _OPPOSITE):
                    if type(op) in table:
                        yield ast.Compare(left, [*ops[:index], table[type(op)](), *ops[index + 1 :]], comparators)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(_OPPOSITE[type(op)](), values)
            for index in range(len(values)):
                left = values[:index] + values[index + 1 :]
                yield ast.BoolOp(op, left) if len(left) > 1 else left[0]
        case ast.BinOp(left, op, right) if type(op) in _OPPOSITE:
            yield ast.BinOp(left, _OPPOSITE[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in _OPPOSITE:
            yield ast.AugAssign(target, _OPPOSITE[type(op)](), value)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand


def _changed_values(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Constant(bool() as value):
            yield ast.Constant(value=not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + 1)
            if value > 0:  # -1 is the same index as 0 in a list of one
                yield ast.Constant(value - 1)
        case ast.Constant(float() as value):
            yield ast.Constant(value * 2 or 1.0)
        case ast.Name(name, context) if name in _NAMES:
            yield ast.Name(_NAMES[name], context)
        case ast.Attribute(value, name, context) if name in _NAMES:
            yield ast.Attribute(value, _NAMES[name], context)


def _text(statement: ast.AST) -> str:
    """Of a compound statement its first line; a backquote would end the text in the list."""
    lines = (line for line in ast.unparse(statement).splitlines() if line and not line.startswith("@"))
    return next(lines).strip().replace("`", "'")


def _lines(statement: ast.AST) -> range:
    part: Any = statement.pattern if isinstance(statement, ast.match_case) else statement
    body = getattr(statement, "body", None)
    return range(part.lineno, max(body[0].lineno, part.lineno + 1) if isinstance(body, list) else part.end_lineno + 1)
