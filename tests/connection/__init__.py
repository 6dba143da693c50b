"""Tests of oxcart.connection."""
