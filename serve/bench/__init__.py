"""`genrec bench serve`: how fast candidates are scored, beside vLLM's own scoring route, and how the gateway holds many
clients.

workload.py makes the prompts, contestants.py and people.py score them, race.py takes turns, limit.py says what the
machine could do, clients.py asks a gateway from many threads, processes.py starts servers, table.py prints.
"""
