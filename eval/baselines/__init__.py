"""Baselines behind the Recommender protocol: the same examples, statistics and history that our model gets."""
