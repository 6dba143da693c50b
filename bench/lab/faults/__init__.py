"""What is lost, failed though done, or run twice when things break? The same faults for Oxcart and its two siblings."""
