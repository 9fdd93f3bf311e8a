"""The contract every store keeps, as tests to run against your own."""
