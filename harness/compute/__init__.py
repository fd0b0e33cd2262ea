"""What a model costs: parameters, multiply-adds, memory, latency, throughput, energy and carbon."""
