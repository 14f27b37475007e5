"""The stack configuration: the one parser of stack YAML, used by the command line and by the Pulumi program."""
