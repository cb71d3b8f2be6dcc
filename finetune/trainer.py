"""TRL's SFTTrainer, with the two things it lacks: packed prompts that share a context, and a loss per task."""

import time
from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.optim.lr_scheduler import LambdaLR
from trl.trainer.sft_trainer import SFTTrainer

from finetune import checkpoint
from finetune.budget import UNLIMITED, Counted, Schedule, Timed, learning_rate_factor
from finetune.checkpoint import Spent
from finetune.collate import forward_inputs
from finetune.losses import means, task_sums
from genrec.progress import progress


def _keep_activations_as_they_are(model: torch.nn.Module) -> None:
    """Autocast casts LoRA's small float32 matrices to bfloat16; PEFT, left to itself, casts the activations to float32.

    What peft.helpers.disable_input_dtype_casting does for a while, for good: gradient checkpointing computes again in
    the backward pass.
    """
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            setattr(module, "cast_input_dtype_enabled", False)  # noqa: B010 (mypy takes a module's attributes for tensors)


class SharedContextTrainer(SFTTrainer):
    """task_names, weights (T,), answers: the mixture's tasks in order. learned: uncertainty weighting. lean_for: the
    share of the run over which the target of a question moves from the stated statistic towards the answer. lean_to:
    how much of it the statistic remains. schedule: how far the run is at each step, which the learning rate
    follows too; set by `follow`.

    Only read places go through the LM head. Each task has its own denominator, counted over the whole optimizer step,
    so the loss does not depend on how prompts fell into rows.
    """

    model: Any  # PEFT's, which transformers types as "a model, a module or none"

    def __init__(
        self,
        *args: Any,
        task_names: Sequence[str],
        weights: Sequence[float],
        answers: Sequence[Sequence[int]],
        learned: bool = False,
        lean_for: float = 0.0,
        lean_to: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.args.bf16:
            _keep_activations_as_they_are(self.model)
        self.model_accepts_loss_kwargs = True  # compute_loss divides by the step's own counts
        device = self.args.device
        self.task_names, self.lean_for, self.lean_to = list(task_names), lean_for, lean_to
        self.task_weights = torch.tensor(list(weights), dtype=torch.float32, device=device)
        self.task_answers = [torch.tensor(list(a), dtype=torch.long, device=device) for a in answers]
        self._since_log = torch.zeros(2, len(task_names), device=device)  # losses and weights
        self._before, self._tokens, self._start = Spent(), 0, time.monotonic()
        self.schedule: Schedule = Counted(self.args.max_steps)
        self.log_variance: torch.nn.Parameter | None = None
        if learned:
            self.log_variance = torch.nn.Parameter(torch.zeros(len(task_names), device=device))
            self.model.register_parameter(checkpoint.LOG_VARIANCE, self.log_variance)

    @property
    def spent(self) -> Spent:
        """Tokens and seconds since the run began, resumed or not."""
        seconds = self._before.seconds + time.monotonic() - self._start
        return Spent(self._before.tokens + self._tokens, seconds)

    def follow(self, schedule: Schedule) -> None:
        """Train as long as the schedule says, and as it says."""
        self.schedule = schedule
        self.args.max_steps = schedule.steps or UNLIMITED
        if isinstance(schedule, Timed):
            self.add_callback(schedule)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> LambdaLR:
        """The learning rate follows the schedule, not the count of steps."""
        chosen: Any = optimizer or self.optimizer
        warmup = int(self.args.warmup_steps)
        self.lr_scheduler = LambdaLR(chosen, lambda step: learning_rate_factor(self.schedule, step, warmup))
        return self.lr_scheduler

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Tokens and seconds count from here, or from where a checkpoint was written."""
        self._before, self._tokens, self._start = Spent(), 0, time.monotonic()
        self._since_log.zero_()
        return super().train(*args, **kwargs)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        sums, counts = self.task_sums(model, inputs, self.lean)
        totals = counts if num_items_in_batch is None else num_items_in_batch
        losses = means(sums, totals)
        with torch.no_grad():
            self._log_tasks(sums, counts, inputs["input_ids"].numel())
        if self.log_variance is None:
            loss = (self.task_weights * losses).sum()
        else:
            share = means(counts, totals)  # the penalty once a step, not once a row
            loss = (
                self.task_weights * (torch.exp(-self.log_variance) * losses + share * self.log_variance)
            ).sum()
        return loss * self.accelerator.num_processes if num_items_in_batch is not None else loss

    @property
    def lean(self) -> float:
        """How much of a target is the stated statistic: 1 at the start of training, lean_to from lean_for of it on."""
        if not self.lean_for:
            return self.lean_to
        left = max(1 - self.schedule.share(self.state.global_step) / self.lean_for, 0.0)
        return self.lean_to + (1 - self.lean_to) * left

    def task_sums(
        self, model: Any, inputs: dict[str, Any], lean: float = 0.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One row's losses and weights, summed per task."""
        config = self.model.config
        places, back = inputs["read_place"][0].unique(return_inverse=True)
        dtype = torch.bfloat16 if self.args.bf16 else next(self.model.parameters()).dtype
        forward = forward_inputs(inputs, config._attn_implementation, dtype)
        with self.accelerator.autocast():  # also before train() has wrapped the model in it
            logits = model(**forward, logits_to_keep=places, use_cache=False).logits[0]
        return task_sums(
            logits.index_select(0, back),  # its backward pass sums in one order, that of logits[back] in any
            inputs["read_task"][0],
            inputs["read_target"][0],
            inputs["read_weight"][0],
            self.task_answers,
            inputs["read_stated"][0],
            lean,
        )

    def _get_num_items_in_batch(
        self, batch_samples: list[dict[str, Any]], device: torch.device
    ) -> torch.Tensor:
        """(T,) weights of each task's reads over the whole optimizer step and all processes."""
        counts = torch.zeros(len(self.task_names), device=device)
        for batch in batch_samples:
            counts.index_add_(0, batch["read_task"][0].to(device), batch["read_weight"][0].to(device).float())
        total: torch.Tensor = self.accelerator.reduce(counts, reduction="sum")
        return total

    def _log_tasks(self, sums: torch.Tensor, counts: torch.Tensor, tokens: int) -> None:
        """Running totals since the last log, turned into one loss per task there."""
        if self.model.training:
            self._since_log += torch.stack([sums.detach(), counts])
            self._tokens += tokens

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            for name, total, count in zip(self.task_names, *self._since_log.tolist(), strict=True):
                if count:
                    logs[f"loss_{name}"] = total / count
            self._since_log.zero_()
        logs["num_tokens"], logs["seconds"] = self.spent.tokens, round(self.spent.seconds, 1)
        super().log(logs, start_time)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Loss per task over the evaluation rows, each task's reads weighed alike."""
        rows = self.get_eval_dataloader(eval_dataset)
        self.model.eval()
        totals = torch.zeros(2, len(self.task_names), device=self.args.device)
        for batch in progress(rows, "validation", "window"):
            with torch.no_grad():
                totals += torch.stack(self.task_sums(self.model_wrapped, self._prepare_inputs(batch)))
        sums, counts = self.accelerator.reduce(totals, reduction="sum")
        losses = means(sums, counts)
        metrics = {f"{metric_key_prefix}_loss": float((self.task_weights * losses).sum())}
        for name, mean, count in zip(self.task_names, losses.tolist(), counts.tolist(), strict=True):
            if count:
                metrics[f"{metric_key_prefix}_loss_{name}"] = mean
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """TRL's checkpoint without its model card, then the marker that makes it count, then the rotation."""
        super(SFTTrainer, self)._save_checkpoint(model, trial)
        if self.args.should_save:
            folder = checkpoint.folder(str(self.args.output_dir), self.state.global_step)
            if self.log_variance is not None:
                checkpoint.save_log_variance(folder, self.log_variance)
            checkpoint.save_spent(folder, self.spent)
            if isinstance(self.schedule, Timed):
                checkpoint.save_shares(folder, self.schedule.shares)
            checkpoint.mark_complete(folder)
            checkpoint.rotate(str(self.args.output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._before = checkpoint.load_spent(resume_from_checkpoint)
        if isinstance(self.schedule, Timed):
            self.schedule.shares = checkpoint.load_shares(resume_from_checkpoint)
        if self.log_variance is not None:
            checkpoint.load_log_variance(resume_from_checkpoint, self.log_variance)
