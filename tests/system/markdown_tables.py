# SPDX-License-Identifier: MIT
"""Reads the tables of a Markdown page, for the tests that compare a page with the programs."""

import re
from pathlib import Path


def plain(cell):
    """A cell as a reader sees it: no backticks, `\\|` is `|`."""
    return cell.replace("`", "").replace("\\|", "|").strip()


def cells_of(text):
    """The names of a cell such as "`exit` or `signal`, `stdout`": what stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


class Page:
    """A Markdown page by its headings."""

    def __init__(self, path):
        self.path = Path(path)
        self.sections = {}
        heading = ""
        for line in self.path.read_text().splitlines():
            found = re.match(r"#+ (.*)", line)
            if found:
                heading = found.group(1)
            self.sections.setdefault(heading, []).append(line)

    def tables(self, heading):
        """Each table of a section as a list of rows, a row as {column: cell}."""
        assert heading in self.sections, f"{self.path.name} has no section {heading!r}"
        tables, rows = [], []
        for line in [*self.sections[heading], ""]:
            if line.startswith("|"):
                rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
            elif rows:
                names = rows[0]
                tables.append([dict(zip(names, row)) for row in rows[2:]])
                rows = []
        return tables

    def table(self, heading, first):
        """The table of a section whose first column is called `first`."""
        for rows in self.tables(heading):
            if rows and next(iter(rows[0])) == first:
                return rows
        raise AssertionError(f"{self.path.name}, {heading!r}: no table whose first column is {first!r}")

    def code_blocks(self, heading):
        """The texts between ``` lines of a section."""
        text = "\n".join(self.sections[heading])
        return [block.strip("\n") for block in re.findall(r"```\w*\n(.*?)```", text, re.S)]
