"""What is done to vectors after the model: truncation, whitening, quantisation."""
