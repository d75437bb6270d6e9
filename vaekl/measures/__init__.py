"""What finished models are measured by: bounds, rulers, latents, calibration, pictures."""
