"""``python -m onnxflow``."""

from onnxflow.cli.main import main

if __name__ == "__main__":
    main()
