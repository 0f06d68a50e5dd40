"""The forms there are, by name."""

from __future__ import annotations

from bench.export.forms.adapter import PeftForm
from bench.export.forms.base import Form
from bench.export.forms.merged import Merged
from bench.export.forms.native import Native

FORMS: dict[str, Form] = {form.name: form for form in (PeftForm(), Merged(), Native())}
