"""The backend of a Milvus cluster. pymilvus is imported here alone."""
