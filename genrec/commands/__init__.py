"""The sub-commands that belong to the data itself; the other rooms bring their own."""
