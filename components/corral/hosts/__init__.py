"""The hosts, per kind: what it makes (`component`), how it is asked (`probe`), and what may call it (`identity`)."""
