"""Checks the cards of repositories, whoever wrote them, against what the Hub and its users expect."""
