"""Shared by the checks of the source's shape: lists the files, and strips comments and literals from C++ text."""

import re
import subprocess
from pathlib import Path

_NOT_CODE = re.compile(
    r"""
    (?P<raw>   (?:u8|[uUL])?R"(?P<mark>[^()\\\s]{0,16})\((?:.|\n)*?\)(?P=mark)" )
  | (?P<block> /\*(?:.|\n)*?\*/ )
  | (?P<line>  //(?:\\\n|[^\n])* )
  | (?P<text>  "(?:\\.|[^"\\\n])*" )
  | (?P<char>  (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+' )
    """,
    re.VERBOSE,
)


def _blank(match):
    """Keeps line breaks, so that line numbers stay true, and the quotes of a literal."""
    body = match.group(0)
    breaks = "\n" * body.count("\n")
    if match.lastgroup in ("block", "line"):
        return breaks or " "
    return '""' + breaks if body[-1] == '"' else "''"


def code_of(text):
    """C++ text with comments blanked and literals emptied; lines keep their numbers."""
    return _NOT_CODE.sub(_blank, text)


def sources(root, patterns):
    """The files under git's control, and new ones that it does not ignore, that match; paths relative to root.
    Without git (an unpacked archive): whatever the patterns find on disk."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode().split("\0")
        found = [Path(name) for name in listed if name]
    except (subprocess.CalledProcessError, FileNotFoundError):
        found = [path.relative_to(root) for pattern in patterns for path in Path(root).rglob(pattern)
                 if "build" not in path.relative_to(root).parts]
    return sorted({path for path in found if (Path(root) / path).is_file()})
