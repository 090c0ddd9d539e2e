"""Where a path has to be hidden: through links, and through every mount that shows it."""

from pathlib import Path

import pytest

from latchstring.endpoint.sandbox.masks import Masks, Mount, MountTable, current_mounts, find_masks, parse_mounts

ROOT = Mount("8:1", Path("/"), Path("/"))
VAR = Mount("8:2", Path("/"), Path("/var"))


@pytest.mark.parametrize(
    ("path", "mounts", "places"),
    [
        ("/var/spool/calls", [ROOT], set()),
        ("/var/spool/calls", [ROOT, VAR], set()),
        ("/var/spool/calls", [ROOT, VAR, Mount("8:2", Path("/spool"), Path("/mnt"))], {"/mnt/calls"}),
        ("/var/spool/calls", [ROOT, VAR, Mount("8:2", Path("/spool/calls"), Path("/mnt"))], {"/mnt"}),
        ("/var/spool/calls", [ROOT, VAR, Mount("8:2", Path("/spool/calls/today"), Path("/mnt"))], {"/mnt"}),
        ("/var/spool/calls", [ROOT, VAR, Mount("8:2", Path("/lib"), Path("/mnt"))], set()),
        ("/var/spool/calls", [ROOT, VAR, Mount("8:1", Path("/"), Path("/mnt"))], set()),
        ("/var/spool/calls", [ROOT, VAR, Mount("8:2", Path("/"), Path("/mnt"))], {"/mnt/spool/calls"}),
        (
            "/var/calls",
            [ROOT, VAR, Mount("8:3", Path("/"), Path("/var")), Mount("8:3", Path("/calls"), Path("/mnt"))],
            {"/mnt"},
        ),
    ],
)
def test_other_mounts_of_the_same(path: str, mounts: list[Mount], places: set[str]) -> None:
    """A bind of a directory above, of the path itself, of a part of it; a second mount; a mount over another."""
    assert {str(place) for place in MountTable(mounts).aliases(Path(path))} == places


def test_links_and_kinds(tmp_path: Path) -> None:
    """A link is hidden where it leads; a file is one; what does not exist is told; what lies within another is left."""
    real = tmp_path / "real"
    (real / "inner").mkdir(parents=True)
    (real / "file").touch()
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "chat.db").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    paths = [tmp_path / name for name in ("link", "real/inner", "real/file", "chat.db", "gone", "dangling")]
    found = find_masks(paths, [Mount("0:1", Path("/"), Path("/"))])
    assert found == Masks((real,), (tmp_path / "chat.db",), (tmp_path / "gone", tmp_path / "dangling"))


def test_the_kernels_list() -> None:
    """What the kernel writes is understood, with the characters that it escapes."""
    line = r"36 35 98:0 /mnt1/a\040b /mnt2/c\134d rw,noatime master:1 - ext3 /dev/root rw"
    assert parse_mounts(line) == [Mount("98:0", Path("/mnt1/a b"), Path("/mnt2/c\\d"), "ext3")]
    assert Path("/") in {mount.point for mount in current_mounts()}
