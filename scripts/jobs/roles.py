"""`roles setup` and `roles show`: the kit's roles on a server, as its jobs need them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from scripts.errors import Inconclusive, Refused, UsageError
from scripts.roles import ROLES, AccessControl, Grant, Role

# A user's name has 32 characters at most, begins with a letter and goes on with letters, digits and underscores (2.3.5).
PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,23})?")
SHORTEST_PASSWORD, LONGEST_PASSWORD = 6, 256
# On a cluster grants reach the proxies one after the other.
ACT_SECONDS, POLL_SECONDS = 30.0, 0.2


@dataclass(frozen=True)
class RoleState:
    """One role as it is on the server. `missing` and `unneeded` are what setup grants and revokes."""

    role: Role
    name: str
    exists: bool
    missing: tuple[Grant, ...]
    unneeded: tuple[Grant, ...]
    users: tuple[str, ...]

    @property
    def kept(self) -> int:
        return len(self.role.grants) - len(self.missing)

    def facts(self) -> dict[str, Any]:
        return {
            "role": self.name,
            "jobs": list(self.role.jobs),
            "exists": self.exists,
            "needed": [str(grant) for grant in sorted(self.role.grants)],
            "missing": [str(grant) for grant in self.missing],
            "unneeded": [str(grant) for grant in self.unneeded],
            "users": list(self.users),
        }


@dataclass(frozen=True)
class UserStep:
    """A user whose password is given: made, if need be, and given its role."""

    name: str
    role: str
    exists: bool
    assigned: bool

    def line(self, dry_run: bool) -> str:
        if self.assigned:
            return f"user {self.name} has the role already"
        if self.exists:
            return f"{'would give' if dry_run else 'gave'} the role to user {self.name}"
        return f"{'would create' if dry_run else 'created'} user {self.name} with the role"


@dataclass(frozen=True)
class RolesSetUp:
    """`before` is what was found, and with it what there was to do."""

    before: tuple[RoleState, ...]
    users: tuple[UserStep, ...]
    dry_run: bool
    act: bool
    """Whether every grant was seen to act. Only a user's own password lets that be seen."""
    exit_code: int = 0

    def lines(self) -> list[str]:
        lines = [line for state in self.before for line in self._of(state)]
        if self.dry_run:
            return [*lines, "Nothing was changed."]
        if any(state.missing or state.unneeded for state in self.before) and not self.act:
            lines.append("On a cluster it takes up to 20 seconds until grants act; without the users' passwords that was not waited for.")
        return lines

    def _of(self, state: RoleState) -> list[str]:
        grant, revoke, create = ("would grant", "would revoke", "would create") if self.dry_run else ("granted", "revoked", "created")
        created = "" if state.exists else f"{create}, "
        head = f"{state.name} ({', '.join(state.role.jobs)}): {created}{state.kept} of {len(state.role.grants)} grants were there."
        made = [f"  {user.line(self.dry_run)}." for user in self.users if user.role == state.name]
        unneeded = (f"  {revoke} {each}, which none of its jobs needs" for each in state.unneeded)
        return [head, *(f"  {grant} {each}" for each in state.missing), *unneeded, *made]

    def facts(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "roles": [state.facts() for state in self.before],
            "users": [{"user": user.name, "role": user.role, "existed": user.exists, "had_the_role": user.assigned} for user in self.users],
            "seen_to_act": self.act,
        }


@dataclass(frozen=True)
class RolesShown:
    states: tuple[RoleState, ...]
    exit_code: int = 0

    def lines(self) -> list[str]:
        return [line for state in self.states for line in self._of(state)]

    def facts(self) -> dict[str, Any]:
        return {"roles": [state.facts() for state in self.states]}

    @staticmethod
    def _of(state: RoleState) -> list[str]:
        if not state.exists:
            return [f"{state.name}: is not there; `roles setup` makes it."]
        verdict = "as needed" if not (state.missing or state.unneeded) else "`roles setup` mends it"
        head = f"{state.name} ({', '.join(state.role.jobs)}): {verdict}; users: {', '.join(state.users) or 'none'}."
        have = sorted(state.role.grants - set(state.missing))
        return [
            head,
            *(f"  has      {grant}" for grant in have),
            *(f"  lacks    {grant}" for grant in state.missing),
            *(f"  unneeded {grant}" for grant in state.unneeded),
        ]


def show(control: AccessControl, *, prefix: str = "") -> RolesShown:
    """Reads only."""
    return RolesShown(_look(control, prefix))


def setup(
    control: AccessControl,
    passwords: Mapping[str, SecretStr],
    *,
    prefix: str = "",
    dry_run: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> RolesSetUp:
    """Safe to run again: what is there stays, what is missing is granted, what no job needs is revoked.

    `passwords` are of the roles whose user, of the role's name, is wanted as well. Raises UsageError for a prefix or a password that Milvus
    does not take, Refused where such a user exists and has another password, Inconclusive where grants do not act in time.
    """
    states = _look(control, prefix)
    users = _users(control, passwords, prefix)
    if dry_run:
        return RolesSetUp(states, users, dry_run=True, act=False)
    for state in states:
        if not state.exists:
            control.create_role(state.name)
    for state in states:
        for grant in state.missing:
            control.grant(state.name, grant)
        for grant in state.unneeded:
            control.revoke(state.name, grant)
    for user in users:
        if not user.exists:
            control.create_user(user.name, passwords[user.role.removeprefix(prefix)].get_secret_value())
        if not user.assigned:
            control.assign(user.name, user.role)
    return RolesSetUp(states, users, dry_run=False, act=_act(control, passwords, prefix, sleep))


def _look(control: AccessControl, prefix: str) -> tuple[RoleState, ...]:
    if not PREFIX.fullmatch(prefix):
        raise UsageError(f"--prefix {prefix!r} begins no name of Milvus.", hint="A letter, then letters, digits and underscores, 24 at most.")
    found, users = control.roles(), control.users()
    return tuple(_state(role, prefix + role.name, found.get(prefix + role.name), users) for role in ROLES)


def _state(role: Role, name: str, granted: frozenset[Grant] | None, users: Mapping[str, frozenset[str]]) -> RoleState:
    there = granted or frozenset()
    having = tuple(sorted(user for user, roles in users.items() if name in roles))
    return RoleState(role, name, granted is not None, tuple(sorted(role.grants - there)), tuple(sorted(there - role.grants)), having)


def _users(control: AccessControl, passwords: Mapping[str, SecretStr], prefix: str) -> tuple[UserStep, ...]:
    """Every password is looked at before anything is changed."""
    known, steps = control.users(), []
    for role, password in passwords.items():
        name, secret = prefix + role, password.get_secret_value()
        if not SHORTEST_PASSWORD <= len(secret.encode()) <= LONGEST_PASSWORD:
            raise UsageError(f"The password for {name} has {len(secret.encode())} bytes.", hint=f"Milvus takes {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}.")
        if name in known and not control.lets_in(name, secret):
            raise Refused(
                f"There is a user {name}, who has another password; nothing was changed.",
                hint="Only who knows the old one can change it: give that one, or drop the user, or take a --prefix.",
            )
        steps.append(UserStep(name, name, name in known, name in known.get(name, ())))
    return tuple(steps)


def _act(control: AccessControl, passwords: Mapping[str, SecretStr], prefix: str, sleep: Callable[[float], None]) -> bool:
    """Waits until every grant is honoured, for those users whose password is known; whether that is all of them."""
    waited = 0.0
    for role in ROLES:
        if role.name not in passwords:
            continue
        while denied := control.denied(prefix + role.name, passwords[role.name].get_secret_value(), role.grants):
            if waited > ACT_SECONDS:
                raise Inconclusive(
                    f"After {ACT_SECONDS:.0f} seconds {prefix}{role.name} may still not {', '.join(str(grant) for grant in sorted(denied))}.",
                    hint="Grants need time to reach every proxy: run `roles setup` again.",
                )
            sleep(POLL_SECONDS)
            waited += POLL_SECONDS
    return set(passwords) == {role.name for role in ROLES}
