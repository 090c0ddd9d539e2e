"""The fingerprint of a controller's root, read without opening anything else."""

from pathlib import Path

from latchstring.certs.controller_keys import ROOT_CERTIFICATE
from latchstring.certs.keyfiles import read_public
from latchstring.certs.x509_parsing import load_certificate
from latchstring.certs.x509_verify import fingerprint
from latchstring.controller.data_directory import open_directory


def root_fingerprint(path: Path) -> str:
    """Return the fingerprint of the root of the controller in the data directory ``path``.

    Raises:
        DataDirectoryError: there is no controller.
        KeyFileError: the root certificate cannot be read.
    """
    return fingerprint(load_certificate(read_public(open_directory(path).keys / ROOT_CERTIFICATE)))
