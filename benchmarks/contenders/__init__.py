"""Who is compared: each module's `run(gate, workload)` trains until the gate has seen enough."""
