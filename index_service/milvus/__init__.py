"""The backend in front of a Milvus cluster."""
