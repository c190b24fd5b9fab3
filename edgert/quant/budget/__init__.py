"""The cheapest plan whose measured loss stays within a budget."""
