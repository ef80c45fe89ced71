"""Two `ResumablePipe`s over byte streams that break at any byte, on virtual time."""
