"""The README, and the files that its code makes."""

import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(
    r"^```python\n# (myapp/\w+\.py)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE
)


def write_blocks(folder: Path) -> None:
    (folder / "myapp").mkdir()
    for name, code in BLOCKS:
        (folder / name).write_text(code)
