"""What a loss in Python is: read by evaluating it on designed inputs."""
