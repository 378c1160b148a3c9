"""What others take for the same job: one script per way that a project documents, all measured alike by `measure.py`.

Set here, before anything is imported, for every script: nothing is sent or downloaded, and threads that wait leave the cores to Milvus.
"""

import os

os.environ |= {
    "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "DO_NOT_TRACK": "1",
}
