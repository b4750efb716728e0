"""The documentation as one page, made from the OpenAPI document: no script, no font, no address outside this server."""

import json
from html import escape
from typing import Any, Final

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d7dce1; --page: #fff; --box: #f5f7f9;
  --get: #0b6b4f; --post: #0a4fb3; --put: #8a4b00; --delete: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa4ae; --line: #333b44; --page: #14181d;
  --box: #1c2229; --get: #5fd0a9; --post: #7fb3ff; --put: #f0b35f; --delete: #ff8f87 } }
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--page) }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 5rem }
h1 { font-size: 1.9rem; margin: 0 0 .25rem }
h2 { margin: 3rem 0 1rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line) }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem }
p { margin: .5rem 0; max-width: 48rem }
a { color: var(--post) }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin-top: .8rem }
p code { overflow-wrap: anywhere }
code, pre { font: .86rem/1.5 ui-monospace, monospace }
code { background: var(--box); padding: .1em .3em; border-radius: .25rem }
pre { background: var(--box); border: 1px solid var(--line); border-radius: .4rem; padding: .8rem; overflow: auto;
  max-height: 28rem; margin: .4rem 0 }
pre code { background: none; padding: 0 }
table { border-collapse: collapse; width: 100%; font-size: .92rem }
td, th { text-align: left; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .6rem 0 }
summary { display: flex; flex-wrap: wrap; gap: .8rem; align-items: baseline; padding: .7rem .9rem; cursor: pointer;
  list-style: none }
summary::-webkit-details-marker { display: none }
details[open] > summary { border-bottom: 1px solid var(--line) }
:focus-visible { outline: 2px solid var(--post); outline-offset: 2px }
.soft { color: var(--soft) }
.body { padding: .4rem 1rem 1rem }
.scroll { overflow-x: auto }
.method { font: 700 .8rem ui-monospace, monospace; width: 4rem }
.path { font: 600 .95rem ui-monospace, monospace; overflow-wrap: anywhere }
.get { color: var(--get) } .post { color: var(--post) } .put { color: var(--put) } .delete { color: var(--delete) }
"""
_COMMANDS: Final = (
    "**Commands.** In those below, `$A` is the address of this server, such as `http://localhost:4000`; `$TOKEN` the token, and "
    "`$REVIEW` the id of a review."
)


def page(document: dict[str, Any]) -> str:
    """HTML for an OpenAPI document."""
    info = document["info"]
    groups: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append(_operation(path, method, operation, document["components"]["schemas"]))
    sections = "".join(
        f'<section aria-labelledby="{_anchor(name)}"><h2 id="{_anchor(name)}">{escape(name)}</h2>{"".join(items)}</section>'
        for name, items in groups.items()
    )
    links = "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in [*groups, "Errors"])
    title, version = escape(info["title"]), escape(info["version"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title} {version}</title><style>{_STYLE}</style></head><body><main>"
        f'<h1>{title}</h1><p class="soft">Version {version} · <a href="/openapi.json">openapi.json</a></p>'
        f"{_prose(info['description'])}{_prose(_COMMANDS)}<nav>{links}</nav>{sections}{_error_table(document)}</main></body></html>"
    )


def _anchor(name: str) -> str:
    """The id of a group of operations; the operations have ids of their own, and ``health`` is one of them."""
    return "group-" + name.lower().replace(" ", "-")


def _prose(text: str) -> str:
    """Paragraphs with `code` and **strong**, which is all the markup that our descriptions use."""
    paragraphs = []
    for paragraph in text.split("\n\n"):
        parts = escape(paragraph).split("`")
        marked = "".join(part if i % 2 == 0 else f"<code>{part}</code>" for i, part in enumerate(parts))
        pieces = marked.split("**")
        paragraphs.append("".join(p if i % 2 == 0 else f"<strong>{p}</strong>" for i, p in enumerate(pieces)))
    return "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)


def _json(value: Any) -> str:  # noqa: ANN401 - any JSON
    return f"<pre tabindex='0'><code>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</code></pre>"


def _curl(path: str, method: str, operation: dict[str, Any]) -> str:
    lines = [f"curl -X {method.upper()} $A{path.replace('{id}', '$REVIEW')}"]
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $TOKEN"')
    if body := operation.get("requestBody"):
        lines.append("-H 'Content-Type: application/json'")
        example = json.dumps(body["content"]["application/json"]["example"], indent=2, ensure_ascii=False).replace("'", "'\\''")
        lines.append(f"-d '{example}'" if len(example) < 1500 else "-d @questions.json")
    command = " \\\n  ".join(lines)
    return f"<pre tabindex='0'><code>{escape(command)}</code></pre>"


def _fields(body: dict[str, Any], schemas: dict[str, Any]) -> str:
    """The fields of a body's object, with what each takes."""
    reference = body["content"]["application/json"]["schema"].get("$ref")
    if reference is None:
        return ""
    schema = schemas[reference.rpartition("/")[2]]
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_takes(field))}</td>"
        f"<td>{'required' if name in schema.get('required', []) else ''}</td><td>{escape(field.get('description', ''))}</td></tr>"
        for name, field in schema["properties"].items()
    )
    return f"<div class='scroll'><table><tr><th>Field</th><th>Takes</th><th></th><th></th></tr>{rows}</table></div>"


def _takes(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "anyOf" in schema:
        return " or ".join(_takes(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " / ".join(map(str, schema["enum"]))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2].removesuffix("In").removesuffix("Out").lower()
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {_takes(schema['items'])}{_bounds(schema, 'Items', 'entries')}"
    spoken = {"string": "text", "integer": "whole number", "boolean": "true / false"}.get(kind, kind)
    return spoken + _bounds(schema, "Length", "characters") + _bounds(schema, "imum", "")


def _bounds(schema: dict[str, Any], suffix: str, unit: str) -> str:
    low, high = schema.get(f"min{suffix}"), schema.get(f"max{suffix}")
    if low is None and high is None:
        return ""
    span = f"{low}–{high}" if None not in {low, high} else f"at most {high}" if low is None else f"at least {low}"
    return f", {span} {unit}".rstrip()


def _operation(path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    success = next(status for status in operation["responses"] if status.startswith("2"))
    answer = operation["responses"][success]["content"]["application/json"]["example"]
    parts = [_prose(operation["description"]), "<h3>Request</h3>", _curl(path, method, operation)]
    if body := operation.get("requestBody"):
        parts.append(_fields(body, schemas))
    if operation["parameters"]:
        rows = "".join(
            f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(p['in'])}</td>"
            f"<td>{escape(p.get('description', ''))}</td></tr>"
            for p in operation["parameters"]
        )
        parts.append(f"<div class='scroll'><table><tr><th>Parameter</th><th>In</th><th></th></tr>{rows}</table></div>")
    parts += [f"<h3>Answer {success}</h3>", _json(answer)]
    codes = ", ".join(f"<code>{code}</code>" for status in operation["responses"] for code in _codes(operation, status))
    parts.append(f"<h3>Errors</h3><p>{codes}</p>")
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><span class="method {method}">{method.upper()}</span>'
        f'<span class="path">{escape(path)}</span><span class="soft">{escape(operation["summary"])}</span></summary>'
        f'<div class="body">{"".join(parts)}</div></details>'
    )


def _codes(operation: dict[str, Any], status: str) -> list[str]:
    response = operation["responses"][status]
    if reference := response.get("$ref"):
        return [reference.rpartition("/")[2]]
    return [] if status.startswith("2") else list(response["content"]["application/json"].get("examples", ()))


def _error_table(document: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{code}</code></td><td>{response['content']['application/json']['example']['statusCode']}</td>"
        f"<td>{escape(response['description'])}</td></tr>"
        for code, response in document["components"]["responses"].items()
    )
    return (
        "<section aria-labelledby='group-errors'><h2 id='group-errors'>Errors</h2>"
        "<div class='scroll'><table><tr><th>Code</th><th>Status</th>"
        f"<th>Meaning</th></tr>{rows}</table></div></section>"
    )
