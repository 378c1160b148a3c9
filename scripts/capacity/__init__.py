"""What pairs need in memory and on disk, whether query nodes hold them, which index to choose. Nothing here asks a server."""
