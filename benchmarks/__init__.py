"""What vaekl costs, beside what it could cost at best and what others cost."""
