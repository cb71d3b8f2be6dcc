"""A recipe: everything that decides a training run, one commented YAML file."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from genrec.errors import UserError
from genrec.fields import find, read_mapping, refuse_unknown

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Lora:
    """PEFT's LoRA: rank, alpha, dropout, the linear layers it adapts ("all-linear": all but the head), and in how many
    of the model's last transformer layers; null is all. Those below them need no backward pass."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all-linear"
    last_layers: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True)
class Recipe:
    """base: a model's name (prompts.base_files). history_tokens: budget of the history window, in tokens.
    minutes, epochs, steps: how long; the first of steps, minutes, epochs that is set decides. rows_per_step: packed
    windows behind one optimizer step. weights: per task, replaces the task file's lambda. weighting: "fixed", or
    "learned" (uncertainty weighting, Kendall et al. 2018). quantization: "4bit" is QLoRA and needs CUDA.
    users: the share of users who are asked, each with her whole log. shares: per task, the share of its examples that
    is asked; 1 where not named.
    windows: how many windows of the log are written at most, drawn at random; null: all.
    lessons: rows that teach to read levels (finetune.lessons), as a share of the log's own.
    lean_for: the share of the run over which targets move from the stated statistic towards the answers; 0: answers
    only. lean_to: how much of a target stays the stated statistic after that, against the noise of single answers.
    reread: train once more, at no token's cost, on the lines that a window begins with.
    """

    name: str = ""
    base: str = "smollm2-135m"
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    quantization: Literal["none", "4bit"] = "none"
    attention: Literal["auto", "shared_context", "flex_attention", "sdpa"] = "auto"
    gradient_checkpointing: bool = False
    compile: bool = False  # the layers, on a CPU; losses are the same but for rounding
    history_tokens: int = 512
    lora: Lora = field(default_factory=Lora)
    learning_rate: float = 5e-4
    warmup_steps: int = 20
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    rows_per_step: int = 4
    packed: bool = True  # False: one row a prompt, to compare with
    epochs: float = 1.0
    minutes: float | None = None
    steps: int | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    weighting: Literal["fixed", "learned"] = "fixed"
    lessons: float = 0.0
    lean_for: float = 0.0
    lean_to: float = 0.0
    reread: bool = False
    regime: Literal["running", "frozen"] = "running"
    users: float = 1.0
    shares: Mapping[str, float] = field(default_factory=dict)
    windows: int | None = None
    stats_dropout: float = 0.1
    paraphrase_share: float = 0.1
    save_every: int = 50  # steps
    evaluate_every: int = 100  # steps; the learning curve of the report
    valid_windows: int = 40  # windows of the validation split behind each point of that curve
    report_to: str = "none"  # whatever TRL's trainer takes: tensorboard, wandb, mlflow, ...
    seed: int = 0


READ = TypeAdapter(Recipe)


def load_recipe(name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """A shipped recipe by name or one of the user's own by path, with single fields changed."""
    path = find("recipe", name, FOLDER)
    raw = read_mapping(path, "recipe", "see docs/training.md")
    refuse_unknown(raw, [f.name for f in fields(Recipe)], str(path))
    try:
        recipe = READ.validate_python({"name": path.stem, **raw, **(changes or {})})
    except ValidationError as error:
        first = error.errors()[0]
        field_name = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{field_name}: {first['msg']}", where=str(path), cure="see docs/training.md"
        ) from error
    _check(recipe, str(path))
    return recipe


def _check(recipe: Recipe, where: str) -> None:
    for name in ("history_tokens", "rows_per_step", "learning_rate", "save_every"):
        if not getattr(recipe, name) > 0:
            raise UserError(f"{name} is {getattr(recipe, name)!r}", where=where, cure="give a number above 0")
    for name in ("steps", "minutes", "epochs", "windows", "evaluate_every", "valid_windows"):
        if (value := getattr(recipe, name)) is not None and not value > 0:
            raise UserError(f"{name} is {value!r}", where=where, cure="give a number above 0")
    shares = {f"shares.{task}": share for task, share in recipe.shares.items()}
    for name in ("users", "stats_dropout", "paraphrase_share", "lessons", "lean_for", "lean_to"):
        shares[name] = getattr(recipe, name)
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise UserError(f"{name} is {share!r}", where=where, cure="give a share from 0 to 1")
    for task, weight in recipe.weights.items():
        if not 0 <= weight < float("inf"):
            raise UserError(f"weights.{task} is {weight!r}", where=where, cure="give a number, 0 or more")
