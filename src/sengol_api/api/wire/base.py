"""What the shapes on the wire are made of. Requests are strict: unknown fields are errors. Names are camelCase there."""

from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from sengol_api.validation import CONTROL_FREE, ONE_LINE

T = TypeVar("T")

Weight = Annotated[float, Meta(ge=0, le=1)]
Line = Annotated[str, Meta(min_length=1, max_length=200), ONE_LINE]
Choices = Annotated[list[Line], Meta(max_length=50)]
Text = Annotated[str, Meta(max_length=5000), CONTROL_FREE]
Texts = Annotated[list[Text], Meta(max_length=50)]


class In(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Base of what clients send."""


class Out(msgspec.Struct, rename="camel", kw_only=True):
    """Base of what clients get."""


class Success(Out, Generic[T]):
    """Every successful answer but those of the health routes."""

    data: T
    success: bool = True


SkipCache = Annotated[bool, Meta(description="Ask every service anew, and keep what they say")]


class DegradedOut(Out):
    """A part of the answer that was not made as it should be."""

    dependency: str
    served: str
    reason: str
