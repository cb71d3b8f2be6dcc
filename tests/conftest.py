"""What every test runs under: no model hub, and no test that fails because the machine was busy."""

import os

from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"  # read when a library is first imported
os.environ["TQDM_DISABLE"] = "1"
settings.register_profile("genrec", deadline=None)
settings.load_profile("genrec")
