"""Tars of strangers, also packed: no header of theirs fills the memory, and what is damaged has one name."""

import lzma
import tarfile as tars
import zlib
from pathlib import Path
from typing import Any, Self

MAX_NOTED = 1_000_000  # bytes noted before one member, names and times, and for all of them; Python reads them whole
NOTING = (tars.GNUTYPE_LONGNAME, tars.GNUTYPE_LONGLINK, tars.XHDTYPE, tars.XGLTYPE, tars.SOLARIS_XHDTYPE)
SPARSE = "a file of the archive is told as a map of its holes, which may go on for ever and no picture has"
NO_HEADER = (tars.InvalidHeaderError, tars.TruncatedHeaderError)  # pyright: ignore[reportAttributeAccessIssue]
DAMAGE = (  # what reading an archive raises where it is damaged, or made to do harm
    tars.TarError, EOFError, OSError, RuntimeError, ValueError, zlib.error, lzma.LZMAError,
)  # fmt: skip


class _Header(tars.TarInfo):
    @classmethod
    def fromtarfile(cls, tarfile: tars.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except NO_HEADER as error:
            raise tars.ReadError(str(error)) from error  # or else Python takes it for the end, and says nothing

    def _proc_member(self, tarfile: tars.TarFile) -> Any:
        if self.type in NOTING:
            assert isinstance(tarfile, _Tar)
            tarfile.noted += self.size
            tarfile.noted_for_all += self.size if self.type == tars.XGLTYPE else 0
            if max(self.size, tarfile.noted, tarfile.noted_for_all) > MAX_NOTED:
                raise tars.ReadError("the headers of the archive are as large as a bomb's")
        return super()._proc_member(tarfile)  # type: ignore[misc]

    def _proc_sparse(self, tarfile: tars.TarFile) -> Any:
        if self._sparse_structs[1]:  # type: ignore[attr-defined]
            raise tars.ReadError(SPARSE)
        return super()._proc_sparse(tarfile)  # type: ignore[misc]

    def _proc_gnusparse_10(self, *told: Any) -> None:
        raise tars.ReadError(SPARSE)

    def _block(self, count: int) -> int:
        if count < 0:  # leads back to where it stands, for ever (CVE-2025-8194)
            raise tars.ReadError("a header of the archive leads backwards")
        return super()._block(count)  # type: ignore[misc]


class _Tar(tars.TarFile):
    """Read once, front to back: what was told of the members before is forgotten, or else it adds up."""

    tarinfo = _Header
    noted = 0  # bytes in headers before the next member
    noted_for_all = 0  # bytes in headers that hold for all that follows

    def next(self) -> tars.TarInfo | None:
        self.noted = 0
        member = super().next()
        self.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
        return member


def open_tar(path: Path) -> tars.TarFile:
    """The tar, opened to be read once, front to back; raises one of DAMAGE where it is none."""
    return _Tar.open(path)
