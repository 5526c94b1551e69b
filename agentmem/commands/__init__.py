"""One module for each command. What is slow to import is imported when a command runs, so that --help is quick."""
