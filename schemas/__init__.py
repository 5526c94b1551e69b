"""The contracts: what travels on Kafka, what the stores hold, what can go wrong. Imports nothing of ours."""
