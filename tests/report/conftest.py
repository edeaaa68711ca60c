from __future__ import annotations

import pytest
from report_sample import Sample, sample

from xrealign.report.summary import Summary, summarise


@pytest.fixture(scope="session")
def run() -> Sample:
    return sample()


@pytest.fixture(scope="session")
def summary(run: Sample) -> Summary:
    return summarise(run.scores, run.groups, run.context, run.items)
