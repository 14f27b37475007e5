"""The one parser of stack YAML: a stack as an operator declares it, typed, or every mistake in it with its line."""
