"""Admission: who is let in, who waits, and who is turned away, when there is more work than can be done."""
