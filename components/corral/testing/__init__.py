"""The Pulumi program on recording mocks: what it would register, without an engine, an account or a network."""
