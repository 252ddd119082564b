"""The estimators, one module a family; found through the entry points `fer_bench.estimators`."""
