"""Least privilege on the real server: each job runs under its own user, may do all that it needs, and none of what the others do.

The server is the tests' own: users, roles and grants are of a whole server. What 2.3.5 gives to everybody through the role `public` is taken
away first, so that a role that leans on it fails.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr
from pymilvus import MilvusClient
from pymilvus.client.connection_manager import ConnectionManager

from scripts.adapters.milvus import MilvusStore
from scripts.adapters.milvus.roles import MilvusRoles
from scripts.canary_commands import canary as canary_commands
from scripts.endings import Commands
from scripts.errors import Inconclusive, Refused, UsageError
from scripts.jobs.roles import setup, show
from scripts.role_commands import roles as role_commands
from scripts.roles import BUILDER, PROMOTER, ROLES, Grant, Role, that_may
from scripts.serving.searcher import PairSearcher
from tests.calls import Recorder, privilege
from tests.circleci.api import StandIn
from tests.conftest import ROOT
from tests.servers import MilvusServer, MlflowServer
from tests.shop import Shop, products, refusal

NAMES = tuple(role.name for role in ROLES)
PASSWORDS = {name: SecretStr(f"secret-of-{name}") for name in NAMES}
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


@dataclass
class World:
    """A shop on a server with roles, whose whole life was lived under them."""

    server: MilvusServer
    shop: Shop
    recorder: Recorder
    production: str
    behind: str

    def token(self, user: str) -> str:
        return f"{user}:secret-of-{user}"

    def run(self, user: str, *words: str) -> Result:
        return self.shop.run(*words, MILVUS_TOKEN=self.token(user))

    def client(self, user: str) -> MilvusClient:
        return MilvusClient(self.server.uri, token=self.token(user))


@pytest.fixture(scope="module")
def server(milvus_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    with MilvusServer(tmp_path_factory.mktemp("milvus"), milvus_wheel) as running:
        yield running


@pytest.fixture
def control(server: MilvusServer) -> Iterator[MilvusRoles]:
    with MilvusRoles(server.uri, server.token) as opened:
        yield opened


@pytest.fixture(scope="module")
def world(server: MilvusServer, mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    administrator = MilvusClient(server.uri, token=server.token)
    for given in administrator.describe_role("public")["privileges"]:
        administrator.revoke_privilege("public", given["object_type"], given["privilege"], given["object_name"], db_name=given["db_name"])
    administrator.create_user("nobody", "secret-of-nobody")
    administrator.close()
    with MilvusRoles(server.uri, server.token) as control:
        setup(control, PASSWORDS)
    shop = Shop(tmp_path_factory.mktemp("shop") / "shop", server.uri, "", mlflow_server.uri)
    shop.write_suite(gates=[{"gate": "floor", "measure": "nDCG@10", "at_least": 0.01}])
    recorder = Recorder()
    ConnectionManager.get_instance().close_all()  # who is connected already is not heard
    with recorder.listening(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("scripts.adapters.milvus.bulk.SMALLEST_FILE_ROWS", 1)
        yield World(server, shop, recorder, *_life(shop, patch))


def _life(shop: Shop, patch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Every job in turn, each under the user who is to do it; gives production and the pair behind it."""

    def do(user: str, *words: str, **environment: str) -> dict[str, Any]:
        return shop.do(*words, MILVUS_TOKEN=f"{user}:secret-of-{user}", **environment)

    def build(*words: str) -> str:
        shop.stage("words")
        return do("builder", "build", *words)["pair"]

    def configure(**changes: Any) -> None:
        shop.configure(bulk={"uri": "bulk", "prefix": str(shop.folder / "bulk")}, **changes)

    def canary(*words: str) -> None:
        arguments = [*words, "--config", str(shop.folder / "promotion.yaml")]
        done = CliRunner().invoke(canary_commands, arguments, env=shop.environment | {"MILVUS_TOKEN": "promoter:secret-of-promoter"})
        assert done.exit_code == 0, done.output

    configure(promotion={"probe_seconds": 1e-9})  # so that the first promotion is taken back
    first = build()
    do("builder", "validate", "--pair", first)
    assert shop.run("promote", "--pair", first, MILVUS_TOKEN="promoter:secret-of-promoter").exit_code == 1
    configure()
    do("builder", "validate", "--pair", first)
    do("promoter", "promote", "--pair", first)
    shop.stage("words")
    second = do("builder", "create", "--build-id", "second")["pair"]
    for _ in range(2):
        do("builder", "embed", "--pair", second, "--writer", "bulk")
    do("builder", "finish", "--pair", second)
    # One row is new, one is gone, one is another: a catch-up inserts, deletes and changes.
    shop.write_products([*products()[1:-1], products()[0] | {"price_cents": 7}, products()[0] | {"product_id": 1000}])
    do("builder", "catch-up", second)
    do("builder", "golden", "check", "--pair", second)
    do("builder", "validate", "--pair", second)
    canary("start", "--pair", second, "--share", "0.1")
    canary("stop")
    do("promoter", "promote", "--pair", second, "--dry-run")
    do("promoter", "promote", "--pair", second)
    for user in ("promoter", "reader"):
        do(user, "history")
    with MilvusStore(shop.milvus_uri, MilvusServer.token) as store:
        store.open(first).release()
    do("promoter", "rollback", "--reason", "to see it done")
    do("promoter", "unlock")
    third = build("--from", "production")
    do("builder", "validate", "--pair", third)
    do("promoter", "promote", "--pair", third)
    do("promoter", "rollback", "--to", first)
    do("builder", "validate", "--pair", third)
    do("promoter", "promote", "--pair", third)
    configure(retention={"keep_days": 0, "keep_previous": 1, "keep_loaded": 0})
    build()  # which nobody approves
    with StandIn() as circleci:
        configure(pipeline=circleci.section, retention={"keep_days": 0, "keep_previous": 1, "keep_loaded": 0})
        shop.stage("words")
        do("builder", "trigger", **circleci.environment)
        (started,) = circleci.started
        pipeline = {"CIRCLE_PIPELINE_ID": started.id}
        do("builder", "create", "--request", started.parameters["request"], **pipeline)
        for job in ("embed", "finish", "validate"):
            do("builder", job, **pipeline)
        do("reader", "requirements")
        do("reader", "approve", **circleci.environment)
        do("janitor", "discard", **pipeline)
    do("janitor", "cleanup", "--dry-run")
    do("janitor", "cleanup")
    do("reader", "status")
    do("reader", "search", "red sofa")
    do("reader", "golden", "check")
    looked = do("reader", "health")
    assert {piece for cluster in looked["clusters"] for each in cluster["collections"] for piece in each["unknown"]} == set()
    do("reader", "ensure-loaded")
    do("reader", "perf", third, "--seconds", "0.2", "--warm-up", "0", "--sweep", "auto", "--target-recall", "0.01")
    do("reader", "capacity")
    do("reader", "backup", "--pair", third, "--to", str(shop.folder / "backup"))
    do("builder", "compact", third)
    do("builder", "restore", str(shop.folder / "backup"), "--as", f"{third[:-8]}{'0' * 8}")
    patch.setenv("MILVUS_TOKEN", "reader:secret-of-reader")
    patch.setenv("MILVUS_URI", shop.milvus_uri)
    patch.setenv("MLFLOW_TRACKING_URI", shop.mlflow_uri)
    with PairSearcher.of_service("test-shop", models=shop.folder / "serving") as searcher:
        assert searcher.search("red sofa").pair == third
    return third, first


@pytest.mark.parametrize("role", ROLES, ids=NAMES)
def test_each_job_runs_under_its_own_user_who_has_nothing_that_it_does_not_need(world: World, role: Role) -> None:
    """What the server asks for, call by call of that user, is what the role has: no more, no less. All jobs went well with it."""
    nobody = world.client("nobody")
    needed = {privilege(nobody, call, request) for call, request in world.recorder.of[role.name].items()} - {""}
    tolerated = {"DropCollection"} if role.name in ("builder", "promoter") else set()  # of a ledger that a newer one replaces: the janitor does it later
    assert needed - tolerated == {grant.privilege for grant in role.grants}


@pytest.mark.parametrize("role", ROLES, ids=NAMES)
def test_the_server_denies_each_role_what_only_others_have(world: World, control: MilvusRoles, role: Role) -> None:
    """Asked of the server itself, for every grant that any role has. Of Import it cannot be asked without waiting for a minute."""
    everything = frozenset().union(*(each.grants for each in ROLES)) - {Grant("Collection", "Import")}
    denied = control.denied(role.name, PASSWORDS[role.name].get_secret_value(), everything)
    assert denied == everything - role.grants


@pytest.mark.parametrize(
    ("user", "words", "lacking", "able"),
    [
        ("reader", ("build",), "CreateCollection", "builder, promoter and janitor"),
        ("reader", ("rollback",), "CreateCollection", "builder, promoter and janitor"),
        ("reader", ("cleanup",), "CreateCollection", "builder, promoter and janitor"),
        ("janitor", ("search", "sofa"), "Search", "builder, promoter and reader"),
        ("janitor", ("rollback",), "Query", "builder, promoter and reader"),
        ("janitor", ("build",), "CreateIndex", "builder"),
        ("promoter", ("build",), "CreateIndex", "builder"),
        ("promoter", ("finish", "--pair", "BEHIND"), "Flush", "builder"),
        ("builder", ("cleanup",), "(DropCollection|Release)", "janitor"),
        ("promoter", ("cleanup",), "(DropCollection|Release)", "janitor"),
    ],
)
def test_what_is_denied_is_told_in_one_line_with_the_role_that_may(world: World, user: str, words: tuple[str, ...], lacking: str, able: str) -> None:
    """Each job under a user who is not for it: exit code 5, nothing of the token, and production is where it was."""
    line = refusal(world.run(user, *(world.behind if word == "BEHIND" else word for word in words)), 5)
    assert re.search(f"does not permit this user to .*It takes {lacking}, which {able} may", line), line
    assert "secret-of" not in line
    assert world.shop.do("status", MILVUS_TOKEN=world.token("reader"))["production"] == world.production


def test_index_parameters_that_are_refused_are_told_to_a_builder_who_may_not_drop(world: World) -> None:
    """The reason is what the server said of the index, not that the empty collection stays for the next cleanup."""
    world.shop.configure(index={"type": "HNSW", "params": {"M": 100_000}})
    world.shop.stage("words")
    assert "index: this server does not take HNSW" in refusal(world.run("builder", "create"), 2)
    world.shop.configure()


def test_anybody_may_move_an_alias_that_is_there(world: World) -> None:
    """2.3.5 does not check AlterAlias, not even of a user without any role; newer servers ask for CreateAlias. To make or drop one is checked."""
    nobody = world.client("nobody")
    alias = "test_shop_prod"
    nobody.alter_alias(world.behind, alias)
    nobody.alter_alias(world.production, alias)
    for act in (lambda: nobody.create_alias(world.production, "another"), lambda: nobody.drop_alias(alias)):
        with pytest.raises(grpc.RpcError, match="permission deny"):
            act()


def test_whoever_may_create_may_stamp_any_pair(world: World) -> None:
    """2.3.5 asks for CreateCollection to alter a collection's properties, whoever made it: a janitor could stamp a pair as validated."""
    with MilvusStore(world.server.uri, world.token("janitor")) as store:
        store.set_properties(world.production, {"promotion.note": "by the janitor"})
        assert store.properties(world.production)["promotion.note"] == "by the janitor"


def test_to_see_the_load_state_takes_the_right_to_load(world: World, control: MilvusRoles) -> None:
    """2.3.5 has GetLoadState and asks for Load: so a reader may load a pair that cleanup released, and none that it may not read."""
    with _role(world, control, Grant("Collection", "GetLoadState"), Grant("Global", "DescribeCollection")) as client:
        with pytest.raises(grpc.RpcError, match="PrivilegeLoad: permission deny"):
            client.get_load_state(world.production)


def test_the_right_to_drop_one_collection_is_the_right_to_drop_all(world: World, control: MilvusRoles) -> None:
    """2.3.5 takes a name in that grant and keeps it as "*"."""
    root = MilvusClient(world.server.uri, token=world.server.token)
    root.create_collection("another", dimension=4)
    with _role(world, control, Grant("Global", "DropCollection", "only_this_one")) as client:
        client.drop_collection("another")
    assert not root.has_collection("another")


@contextmanager
def _role(world: World, control: MilvusRoles, *grants: Grant) -> Iterator[MilvusClient]:
    """A user who may do just that, once the grants act. Of a name that never was: 2.3.5 tells its proxy of a role that was dropped a while after it
    did, and takes the grants of one that was made meanwhile by that name along."""
    name = f"special_{secrets.token_hex(4)}"
    control.create_role(name)
    control.create_user(name, f"secret-of-{name}")
    control.assign(name, name)
    for grant in grants:
        control.grant(name, grant)
    asked = frozenset(grant for grant in grants if grant.privilege != "GetLoadState")
    while control.denied(name, f"secret-of-{name}", asked):
        time.sleep(0.05)
    client = MilvusClient(world.server.uri, token=world.token(name), dedicated=True)
    try:
        yield client
    finally:
        client.close()
        _forget(control, name)


def _forget(control: MilvusRoles, *names: str) -> None:
    """Users and roles of these names."""
    for name in names:
        for grant in control.roles().get(name, ()):
            control.revoke(name, grant)
        if name in control.users():
            control._milvus.call("drop_user", name)
        if name in control.roles():
            control._milvus.call("drop_role", name)


def test_setup_may_be_run_again_and_changes_nothing_then(world: World, control: MilvusRoles) -> None:
    """Every grant was there, every user as well, and each was seen to act."""
    again = setup(control, PASSWORDS)
    assert [(state.missing, state.unneeded, state.exists) for state in again.before] == [((), (), True)] * len(ROLES)
    assert all(user.exists and user.assigned for user in again.users) and again.act


def test_setup_grants_what_is_missing_and_revokes_what_no_job_needs(world: World, control: MilvusRoles) -> None:
    """As after somebody's hand, or an older version of the kit; a dry run says the same and does nothing."""
    needless, missing = Grant("Global", "DropCollection"), Grant("Collection", "Query")
    control.grant("reader", needless)
    control.revoke("reader", missing)
    for dry_run, word in ((True, "would revoke"), (False, "revoked")):
        done = setup(control, {}, dry_run=dry_run)
        assert f"  {word} DropCollection (Global), which none of its jobs needs" in done.lines()
        (state,) = (each for each in done.before if each.name == "reader")
        assert (state.missing, state.unneeded) == ((missing,), (needless,))
    (shown,) = (each for each in show(control).states if each.name == "reader")
    assert (shown.missing, shown.unneeded, shown.users) == ((), (), ("reader",))


def test_two_installations_share_a_server_by_a_prefix(world: World, control: MilvusRoles) -> None:
    """Of ten roles that 2.3.5 takes there is then room for no third installation, which is told before any grant."""
    setup(control, {"reader": PASSWORDS["reader"]}, prefix="second_")
    assert {f"second_{name}" for name in NAMES} < control.roles().keys()
    assert control.users()["second_reader"] == {"second_reader"}
    with pytest.raises(Refused, match="takes no more roles, and third_builder is missing"):
        setup(control, {}, prefix="third_")
    assert not [name for name in control.roles() if name.startswith("third_")]
    _forget(control, *(f"second_{name}" for name in NAMES))


@pytest.mark.parametrize("prefix", ["shop-", "1st_", "_", "ä", "x" * 25])
def test_a_prefix_that_begins_no_name_is_told(control: MilvusRoles, prefix: str) -> None:
    """Milvus takes a letter, then letters, digits and underscores, and 32 characters of a user."""
    with pytest.raises(UsageError, match="begins no name"):
        setup(control, {}, prefix=prefix, dry_run=True)


def test_a_user_with_another_password_is_left_alone(world: World, control: MilvusRoles) -> None:
    """Before anything is changed: it may be somebody else's user, and 2.3.5 lets nobody set it without the old one."""
    with pytest.raises(Refused, match="a user janitor, who has another password; nothing was changed"):
        setup(control, {"janitor": SecretStr("something else")})


@pytest.mark.parametrize("password", ["short", "x" * 257])
def test_a_password_that_milvus_does_not_take_is_told_without_being_shown(control: MilvusRoles, password: str) -> None:
    """6 to 256 bytes on 2.3.5."""
    with pytest.raises(UsageError, match=f"has {len(password)} bytes") as refused:
        setup(control, {"reader": SecretStr(password)}, prefix="other_")
    assert password not in str(refused.value)


def test_grants_that_do_not_act_in_time_are_no_success() -> None:
    """As on a cluster with a proxy that does not hear of them."""

    class Deaf:
        """A server whose grants never act; everything is there already."""

        def roles(self) -> dict[str, frozenset[Grant]]:
            return {role.name: role.grants for role in ROLES}

        def users(self) -> dict[str, frozenset[str]]:
            return {name: frozenset({name}) for name in NAMES}

        def lets_in(self, user: str, password: str) -> bool:
            return True

        def denied(self, user: str, password: str, grants: frozenset[Grant]) -> frozenset[Grant]:
            return frozenset({Grant("Collection", "Search")})

    with pytest.raises(Inconclusive, match=r"reader may still not Search \(Collection\)"):
        setup(Deaf(), {"reader": PASSWORDS["reader"]}, sleep=lambda seconds: None)


def run(uri: str, *words: str, **environment: str) -> Result:
    """Through the command line, as an administrator."""
    given = {"MILVUS_URI": uri, "MILVUS_TOKEN": MilvusServer.token} | environment
    return CliRunner().invoke(Commands(commands=[role_commands]), ["roles", *words], env=given)


def test_the_command_takes_passwords_from_the_environment_and_shows_none(world: World, control: MilvusRoles) -> None:
    """One user is made, in text and in JSON nothing of its password is told, and every grant is."""
    told = run(world.server.uri, "setup", "--prefix", "cli_", MILVUS_READER_PASSWORD="secret-of-reader")
    assert told.exit_code == 0 and "granted Search (Collection)" in told.output and "created user cli_reader with the role" in told.output
    again = run(world.server.uri, "setup", "--prefix", "cli_", "--json", MILVUS_READER_PASSWORD="secret-of-reader")
    assert json.loads(again.stdout)["users"] == [{"user": "cli_reader", "role": "cli_reader", "existed": True, "had_the_role": True}]
    assert "secret-of" not in told.output + again.output
    shown = json.loads(run(world.server.uri, "show", "--prefix", "cli_", "--json").stdout)["roles"]
    assert [(role["role"], role["missing"], role["unneeded"]) for role in shown] == [(f"cli_{name}", [], []) for name in NAMES]
    _forget(control, *(f"cli_{name}" for name in NAMES))


def test_only_an_administrator_sets_roles_up(world: World) -> None:
    """Not even to look: exit code 5."""
    for words in (("setup",), ("show",)):
        assert "does not permit this user to list roles" in refusal(run(world.server.uri, *words, MILVUS_TOKEN=world.token("builder")), 5)


def test_milvus_lite_has_no_roles(tmp_path: Path) -> None:
    """A usage error that says so; nothing is made there."""
    assert "milvus-lite has no users and no roles" in refusal(run(str(tmp_path / "milvus.db"), "setup"), 2)
    assert not (tmp_path / "milvus.db").exists()


def test_a_server_that_lets_everybody_in_takes_no_roles(milvus_wheel: Path, tmp_path: Path) -> None:
    """2.3.5 would keep them, without effect."""
    with MilvusServer(tmp_path / "open", milvus_wheel, {"COMMON_SECURITY_AUTHORIZATIONENABLED": "false"}) as open_server:
        assert "lets everybody in: roles would have no effect" in refusal(run(open_server.uri, "setup"), 4)


@contextmanager
def _releaser(control: MilvusRoles) -> Iterator[str]:
    """A user with the roles of builder and promoter, once their grants act."""
    name, password = "releaser", "secret-of-releaser"
    control.create_user(name, password)
    try:
        for role in (BUILDER, PROMOTER):
            control.assign(name, role.name)
        while control.denied(name, password, (BUILDER.grants | PROMOTER.grants) - {Grant("Collection", "Import")}):
            time.sleep(0.05)
        yield name
    finally:
        _forget(control, name)


def test_a_promotion_that_may_not_bring_changes_in_leaves_the_pair_as_it_is_for_who_may(world: World, control: MilvusRoles) -> None:
    """promotion.catch_up writes, which a promoter may not: however often it is tried, no field of the stamp changes, and the same command under a
    user with both roles promotes, with the change counted once."""
    shop, builder = world.shop, world.token("builder")
    before = shop.do("status", MILVUS_TOKEN=builder)["production"]
    shop.stage("words")
    pair = shop.do("build", MILVUS_TOKEN=builder)["pair"]
    shop.do("validate", "--pair", pair, MILVUS_TOKEN=builder)
    shop.write_products([*products()[1:-1], products()[0] | {"price_cents": 9}, products()[0] | {"product_id": 1000}])
    with MilvusStore(world.server.uri, world.server.token) as store:
        stamp = store.properties(pair)
        for words in (("promote", "--pair", pair), ("promote", "--pair", pair), ("catch-up", pair)):
            assert "It takes Flush, which builder may" in refusal(world.run("promoter", *words), 5)
            assert store.properties(pair) == stamp
        assert shop.do("status", MILVUS_TOKEN=builder)["production"] == before
        with _releaser(control) as releaser:
            assert shop.do("promote", "--pair", pair, MILVUS_TOKEN=world.token(releaser))["to"] == pair
        assert (store.target("test_shop_prod"), store.properties(pair)["promotion.changed_rows"]) == (pair, "1")


def test_the_page_on_security_names_every_role_with_its_jobs_and_grants() -> None:
    """docs/security.md, row by row, and all of each."""
    table = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]
    rows = {cells[0]: cells[1:] for cells in table if len(cells) == 4}
    for role in ROLES:
        jobs, everywhere, collections = rows[role.name]
        assert tuple(jobs.split("`, `")) == role.jobs
        for kind, cell in (("Global", everywhere), ("Collection", collections)):
            assert set(re.findall(r"\w+", cell)) == {grant.privilege for grant in role.grants if grant.kind == kind}


def test_every_privilege_has_its_roles() -> None:
    """As messages name them; what nobody may is nobody's."""
    assert that_may("CreateAlias") == ("promoter",)
    assert that_may("CreateOwnership") == ()
