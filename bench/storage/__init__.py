"""The run folder: files that are whole, who may write them, and the ledger of finished trials."""
