"""Accounts: register and log in."""

import uuid

from sengol_api.api import examples, present, wire
from sengol_api.api.limits import ACCOUNT_COST, LimitReachedError, account
from sengol_api.api.operations import Answer, Call, Example, Operation
from sengol_api.review.accounts import User
from sengol_api.review.errors import AuthenticationError, Problem, ValidationError

LONGEST_EMAIL = 254


def _session(call: Call, user: User) -> Answer:
    token, ends = call.services.tokens.issue(user.id)
    return Answer(wire.SessionOut(user=present.user(user), token=token, expires_at=present.moment(ends)))


async def register(call: Call) -> Answer:
    """Make an account. It takes as long for a taken address as for a free one."""
    body: wire.RegisterIn = call.body
    email = body.email.lower()
    if len(email) > LONGEST_EMAIL:  # a few letters are longer in lower case
        raise ValidationError([Problem("email", f"takes at most {LONGEST_EMAIL} characters", "too_long")])
    password_hash = await call.services.hasher.hash(body.password)
    user = User(
        id=str(uuid.uuid4()),
        email=email,
        name=body.name,
        company=body.company,
        role="user",
        created_at=call.services.now(),
    )
    if not await call.services.users.add(user, password_hash):
        raise ValidationError([Problem("email", "cannot be registered; if it is yours, log in", "unavailable")])
    return _session(call, user)


async def login(call: Call) -> Answer:
    """Exchange credentials for a token. Neither answer nor time tells whether the address exists."""
    body: wire.LoginIn = call.body
    try:  # for the account too, which may be tried from many addresses
        await call.services.limits.take("logins", account(body.email), ACCOUNT_COST)
    except LimitReachedError as reached:
        raise reached.error from None
    known = await call.services.users.find(body.email.lower())
    matches = await call.services.hasher.verify(body.password, known[1] if known else None)
    if known is None or not matches:
        raise AuthenticationError("The address or the password is wrong.")
    return _session(call, known[0])


OPERATIONS = (
    Operation(
        method="POST",
        path="/api/auth/register",
        name="register",
        summary="Make an account",
        description="Gives the account and a token for it.",
        tag="Accounts",
        handler=register,
        body=wire.RegisterIn,
        answer=wire.Success[wire.SessionOut],
        status=201,
        authenticated=False,
        limit="logins",
        errors=("DATABASE_ERROR",),
        example=Example(wire.Success(data=examples.SESSION), examples.REGISTER),
    ),
    Operation(
        method="POST",
        path="/api/auth/login",
        name="login",
        summary="Log in",
        description="Gives a token for the header `Authorization: Bearer TOKEN`.",
        tag="Accounts",
        handler=login,
        body=wire.LoginIn,
        answer=wire.Success[wire.SessionOut],
        authenticated=False,
        limit="logins",
        errors=("AUTHENTICATION_ERROR", "DATABASE_ERROR"),
        example=Example(wire.Success(data=examples.SESSION), examples.LOGIN),
    ),
)
