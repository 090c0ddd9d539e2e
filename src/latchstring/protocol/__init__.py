"""What travels between the parties and what it means. Sans-I/O: no sockets, no clock, no logging."""
