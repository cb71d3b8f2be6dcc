"""From a prepared data set to an adapter: mixture, packing, fine-tuning, checkpoints, export."""
