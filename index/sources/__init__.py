"""Where documents come from: files, and corpora that are known by name."""
