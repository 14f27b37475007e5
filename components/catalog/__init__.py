"""Dated facts about hosts and their models: data files, and the types they are read into."""
