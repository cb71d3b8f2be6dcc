"""Sources: each turns one kind of data into `Loaded`; they join by the entry-point group "genrec.sources"."""
