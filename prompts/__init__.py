"""Task files, templates, layout, the history window, packing and the branch mask."""
