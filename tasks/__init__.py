"""The steps, plain Python: scrape, prepare, shard, train, evaluate, infer, report.

No Prefect and no DVC here: a Prefect @task is put round a step in flows/steps.py, and DVC calls a step through
`python -m pipelines STEP NAME`. Steps import only the ground floor (the modules beside this one), never each other.
"""

import os

MOST_PIXELS = 2**28  # 268 million: no decoder here is ever asked for more
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))  # OpenCV reads it once, when it is imported
