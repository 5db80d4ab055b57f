"""Arms held against each other: from run directories to figures with intervals, Markdown, JSON, plots and a page."""
