"""For all tests: the installed package is what is imported, and a slow machine is no failure."""

import os

from hypothesis import settings

# A child python started in the repository's folder would otherwise find onnxflow/ there, without export and providers.
os.environ["PYTHONSAFEPATH"] = "1"

settings.register_profile("onnxflow", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("onnxflow")
