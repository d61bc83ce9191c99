"""The command line: parse, build, call, write, exit code."""
