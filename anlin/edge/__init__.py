"""The edge: holds a replica, drives devices, decides, acts, and writes down what happened."""
