"""The live page for those on call: its files, its stream of events, and what it is told."""
