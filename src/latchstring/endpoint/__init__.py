"""The customer's side: agent, policy, consent, switch, SSH server, sandbox, journal."""
