"""The steps, plain Python: scrape, prepare, shard, train, evaluate, infer, report.

No Prefect and no DVC here: a Prefect @task is put round a step in flows/steps.py, and DVC calls a step through
`python -m pipelines STEP NAME`. Steps import only the ground floor (the modules beside this one), never each other.
"""
