"""Identities: keys, the SSH and X.509 authorities, verification.

Two halves. What any party may use: key files, signers, verification, TLS contexts. And what only the controller may
use, because it makes others believe: ``x509_authority``, ``ssh_authority`` and ``controller_keys``.
"""
