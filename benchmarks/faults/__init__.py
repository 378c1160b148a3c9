"""What happens to commands at work when their Milvus is killed, stopped or restarted."""
