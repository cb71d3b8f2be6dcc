"""Engines that turn prompts into probabilities, and the commands that ask them."""
