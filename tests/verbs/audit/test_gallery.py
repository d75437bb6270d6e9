"""`docs/gallery.md` says what the audit says."""

import re

import gallery_cases
import pytest

from vaekl.verbs.audit.parse import pairs
from vaekl.verbs.audit.probe.entry import read
from vaekl.verbs.audit.probe.load import target
from vaekl.verbs.audit.probe.report import report
from vaekl.verbs.audit.probe.words import Words

CASES = gallery_cases.cases()


def test_every_section_is_a_case():
    assert len(CASES) == gallery_cases.PAGE.count("\n## ") == 10


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_page_says_what_the_audit_says(case):
    loss = target(gallery_cases.seeded(case), None, case.name, case.name)
    printed = report(read(loss.function, Words.typed(pairs(case.words, ["*"])), loss.owner)).text().splitlines()
    # the last digits of residuals are those of a processor
    plain = [_without_residual(line) for line in printed]
    for line in case.lines:
        assert _without_residual(line) in plain, "\n".join(printed)
    assert all(float(size) < 1e-6 for line in printed for size in re.findall(r"\[residual (\S+)\]", line))


def _without_residual(line: str) -> str:
    return re.sub(r" +\[residual .*\]", "", line)
