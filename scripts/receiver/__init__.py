"""The receiver of MLflow's webhooks: `python -m scripts webhook`. Bytes from anybody come in, and a pipeline is started only for who has the secret.

    server.py       the listening socket, slow and too many clients, signals
    app.py          paths, bodies, what a delivery is answered
    desk.py         verify, read, refuse what was answered before, find the services that it is for
    starting.py     one start at a time for each service, in a thread
    answers.py log.py metrics.py    what is said to the sender, to the log and to Prometheus
"""
