"""Readers: from the files of a source to incidents."""
