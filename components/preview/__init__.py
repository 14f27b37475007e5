"""The Pulumi program run on Pulumi's own mocks: what it would register, without an engine, an account or a network."""
