"""Fine-tuning from corrections: dataset, runs, evaluation, what to correct next."""
