"""`npu-memory bench`: what a question costs on this machine, stage by stage."""
