"""The endpoint's SSH server: one connection on one dialled socket, each channel in the session's sandbox.

``server`` serves a socket, ``ports`` says what it needs from the agent. asyncssh is imported in this folder only.
"""
