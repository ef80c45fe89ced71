"""Durable messages: the files of a sender (outbox) and of a receiver (inbox), and what passes between them."""
