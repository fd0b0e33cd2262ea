"""The report: one self-contained HTML file about one or more models, made from their ledgers and stored predictions."""
