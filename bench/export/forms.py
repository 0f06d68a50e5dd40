"""The forms there are, by name."""

from __future__ import annotations

from bench.export.adapter import Adapter
from bench.export.form import Form
from bench.export.merged import Merged
from bench.export.native import Native

FORMS: dict[str, Form] = {form.name: form for form in (Adapter(), Merged(), Native())}
