"""Dated facts about hosts, their models, regions and GPUs: data files, and the types they are read into."""
