"""Oxcart."""
