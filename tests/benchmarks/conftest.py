"""What several benchmarks run."""

import pytest


@pytest.fixture(scope="session")
def experiment():
    """A function that gives the content of a tiny experiment with some seeds and methods."""

    def content(seeds, methods=("oracle-label",), **training):
        return {
            "seeds": list(range(seeds)),
            "data": {"name": "generated", "subjects": 9, "images_per_subject": 7, "size": 16},
            "split": {"folds": 3, "use": [0], "validation": 0.4},
            "training": {"epochs": 1, "batch_size": 16, **training},
            "methods": [{"name": name} for name in methods],
            "scores": {"metrics": ["classification"]},
        }

    return content
