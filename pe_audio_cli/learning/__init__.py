"""Labels learned from examples: a text embedding and a bias each, which every command takes like words."""
