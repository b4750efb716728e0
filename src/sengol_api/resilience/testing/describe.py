"""What a pipeline is made of, in words."""

import dataclasses

from sengol_api.resilience.pipeline import Pipeline


def describe(pipeline: Pipeline) -> str:
    """The policies of a pipeline, outermost first, each with the options that differ from their defaults."""
    lines = [pipeline.name]
    for depth, name in enumerate(pipeline, start=1):
        options = pipeline[name].options
        changed = [
            f"{field.name}={value!r}"
            for field in dataclasses.fields(options)
            if (value := getattr(options, field.name)) != field.default
        ]
        lines.append(f"{'  ' * depth}{name}({', '.join(changed)})")
    return "\n".join(lines)
