"""The command line: one module a command, loaded only when that command is called.

`main` has the names, one line of help for each, and the way from an error to an exit code.
"""
