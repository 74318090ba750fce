"""The tests: ``python3 -m unittest`` from the project's root runs them all."""
