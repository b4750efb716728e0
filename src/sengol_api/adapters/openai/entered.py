"""The pipelines of a client in a registry, for as long as it is open."""

from collections.abc import Sequence

from sengol_api.resilience import OptionsError, Pipeline, Registry


class Entered:
    """Enters pipelines into a registry and takes them out again.

    Args:
        pipelines: which.
        registry: where.
    """

    def __init__(self, pipelines: Sequence[Pipeline], registry: Registry) -> None:
        self._pipelines = tuple(pipelines)
        self._registry = registry
        self._there = False

    def enter(self) -> None:
        """See that they are there.

        Raises:
            OptionsError: other pipelines have names of theirs.
        """
        if self._there:
            return
        taken = [each.name for each in self._pipelines if each.name in self._registry]
        if taken:
            raise OptionsError(
                "OpenAIClient", [f"the registry has {', '.join(taken)} already; give another name, or close that client"]
            )
        for pipeline in self._pipelines:
            self._registry.add(pipeline)
        self._there = True

    def leave(self) -> None:
        """See that they are not there."""
        for pipeline in self._pipelines if self._there else ():
            self._registry.remove(pipeline.name)
        self._there = False
