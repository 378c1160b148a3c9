"""Where the workflows run: the kit in a repository with services, a runner, and a context for each role on Milvus."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from scripts.cli import main
from tests.circleci import repository
from tests.circleci.runner import Context, Runner
from tests.servers import MilvusServer, MlflowServer
from tests.shop import Shop

_PREFIX = "ci_"
_PASSWORDS = {"BUILDER": "fake-builder", "PROMOTER": "fake-promoter", "JANITOR": "fake-janitor"}
_NOT_IN_TIME = 3
"""On a busy machine grants take more than the 30 seconds for which one setup waits."""
CONTEXTS = {"promotion-build": "builder", "promotion-production": "promoter", "promotion-cleanup": "janitor"}


class Place:
    """`runner` runs what `repository` has; each service is a shop of its own, whose folder is in there."""

    def __init__(self, folder: Path, milvus: MilvusServer, mlflow: MlflowServer) -> None:
        self._milvus, self._mlflow = milvus, mlflow
        self._set_up_roles()
        self.repository = repository.of_the_kit(folder / "kit")
        contexts = {context: Context(self._environment(role)) for context, role in CONTEXTS.items()}
        contexts["promotion-production"].allowed = frozenset({"robin"})
        contexts["promotion-pipelines"] = Context({"CIRCLECI_TOKEN": "CCIPAT_fake_0123456789_not_a_token"})
        self.runner = Runner(self.repository, folder / "circleci", contexts)
        (self.repository / "services").mkdir()

    def shop(self, service: str) -> Shop:
        """A service with products, suite and promotion.yaml; `commit` when it is as it should be."""
        shop = Shop(self.repository / "services" / service, self._milvus.uri, self._milvus.token, self._mlflow.uri)
        shop.configure(service=service)
        return shop

    def commit(self) -> None:
        repository.commit(self.repository, {})

    def _environment(self, role: str) -> dict[str, str]:
        token = f"{_PREFIX}{role}:{_PASSWORDS[role.upper()]}"
        return {"MILVUS_URI": self._milvus.uri, "MILVUS_TOKEN": token, "MLFLOW_TRACKING_URI": self._mlflow.uri}

    def _set_up_roles(self) -> None:
        passwords = {f"MILVUS_{role}_PASSWORD": password for role, password in _PASSWORDS.items()}
        administrator = {"MILVUS_URI": self._milvus.uri, "MILVUS_TOKEN": self._milvus.token}
        for _ in range(5):
            done = CliRunner().invoke(main, ["roles", "setup", "--prefix", _PREFIX], env=administrator | passwords)
            if done.exit_code != _NOT_IN_TIME:
                break
        assert done.exit_code == 0, done.output
