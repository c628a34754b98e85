"""Tars of strangers, also packed: no header of theirs fills the memory, and what is damaged has one name."""

import lzma
import tarfile as tars
import zlib
from pathlib import Path
from typing import Any, Self

MAX_HEADER = 1_000_000  # bytes of what is noted before one member, names and times; Python reads it whole
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
        if self.type in NOTING and self.size > MAX_HEADER:
            raise tars.ReadError("a header of the archive is as large as a bomb's")
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


def open_tar(path: Path) -> tars.TarFile:
    """The tar, opened to be read; raises one of DAMAGE where it is none."""
    return tars.open(path, tarinfo=_Header)
