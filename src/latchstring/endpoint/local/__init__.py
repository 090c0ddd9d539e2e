"""Commands of the customer to the running agent, over a Unix socket in the data directory.

One JSON object a line. The client sends one request; the agent answers with any number of ``progress`` lines and then
one ``answer`` or ``failure``, and closes. The socket has mode 0600, and only root and the agent's own user are heard.
"""
