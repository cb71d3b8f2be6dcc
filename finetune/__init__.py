"""Fine-tuning: recipes, the mixture of tasks, shared-context packing on TRL, adapters and checkpoints."""

import prompts  # noqa: F401 (before peft, which imports bitsandbytes: see there)
