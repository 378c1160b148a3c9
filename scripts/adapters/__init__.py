"""One module per technology: the only code that imports pyarrow, pymilvus, mlflow and their like."""
