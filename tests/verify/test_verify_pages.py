"""Is every check and verdict of `oxcart verify` explained, and nothing explained that does not exist?"""

from __future__ import annotations

import re
from pathlib import Path

from oxcart.doctor.pages import explain
from oxcart.doctor.verify import CHECKS

SOURCE = Path(__file__).parents[2] / "src" / "oxcart" / "doctor"


def test_every_check_and_verdict_has_a_section_and_every_section_a_reason() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in SOURCE.glob("*.py"))
    used = set(re.findall(r'"(VERIFY_[A-Z_]+)"', code)) | {check.id for check in CHECKS}
    explained = set(re.findall(r"^## (\S+)$", (SOURCE / "texts" / "verify.md").read_text("utf-8"), re.MULTILINE))

    assert used == explained


def test_explain_knows_a_verdict_of_verify() -> None:
    assert "OXCART_RELEASE" in explain("verify_release_unknown")
