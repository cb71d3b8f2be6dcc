"""What a hostile title gains its item: `python -m eval.injection ADAPTER`.

texts.yaml holds the titles, titles.py writes them and harmless ones of equal length, lift.py asks and measures.
"""
