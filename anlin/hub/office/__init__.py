"""What the property office does with many records at once: lists in and out, search, queues."""
