"""What a worker does and what the store holds, in numbers that Prometheus scrapes."""
