"""Fine-tuning: recipes, the mixture of tasks, shared-context packing on TRL, adapters and checkpoints."""
