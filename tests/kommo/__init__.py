"""Tests of oxcart.kommo."""
