"""Puts fake_records.py, which tests of several rooms share, on the path."""
