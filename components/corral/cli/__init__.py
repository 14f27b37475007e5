"""The `corral` command, one file a verb.

Exit status: 0 done; 1 refused (a plan with errors, an id that a host refuses, an engine that cannot start), and of
`diff` that something differs; 2 a stack file or a command line that cannot be read.
"""
