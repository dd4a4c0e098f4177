"""great-expectations in memory: the one place that loads it, which takes about 9 s.

No files, no progress bars, nothing sent anywhere. Refuses to: hold on to a table longer than it is asked about.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import pandas as pd

from toolkit.errors import ConfigError


class Engine:
    """Asks expectations of frames. Close it: great-expectations keeps its last context, and what it was shown."""

    def __init__(self) -> None:
        # Versions that have telemetry read this when they are imported.
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        try:
            self._gx = import_module("great_expectations")
        except ModuleNotFoundError as missing:
            advice = "pip install 'keyatlas[quality]'"
            raise ConfigError("the data contract needs great-expectations", advice=advice) from missing
        self.column = import_module("great_expectations.expectations.row_conditions").Column
        bars = import_module("great_expectations.data_context.types.base").ProgressBarsConfig(globally=False)
        self._context = self._gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = bars
        self._source = self._context.data_sources.add_pandas("inventory")

    def close(self) -> None:
        """Let go of the tables."""
        self._context.data_sources.delete("inventory")

    @property
    def makers(self) -> Any:
        """The classes of expectations, by name."""
        return self._gx.expectations

    def show(self, frame: pd.DataFrame) -> Batch:
        """The frame, to be asked about. It is hashed twice, so what asks more than once keeps it."""
        asset = self._source.add_dataframe_asset(str(len(self._source.assets)))
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        return Batch(batch, self._gx.ExpectationSuite)


class Batch:
    """A frame as great-expectations holds it."""

    def __init__(self, batch: Any, suite: Any) -> None:
        self._batch, self._suite = batch, suite

    def ask(self, expectations: Sequence[Any], form: str | Mapping[str, Any]) -> Mapping[int, Any]:
        """What came of each expectation, by the `number` in its `meta`."""
        if not expectations:
            return {}
        suite = self._suite(name="asked", expectations=list(expectations))
        results = self._batch.validate(suite, result_format=form).results
        return {result.expectation_config.meta["number"]: result for result in results}
