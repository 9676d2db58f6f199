"""Benchmarks: each module runs on its own, prints a table and writes JSON; `./dev bench` runs them all."""
