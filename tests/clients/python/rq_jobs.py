"""Jobs of RQ: adds COUNT of them and works them off; each job counts itself. Usage: rq_jobs.py URL COUNT"""

import json
import sys
import threading

import redis
from rq import Queue, SimpleWorker
from rq.timeouts import TimerDeathPenalty

url, count = sys.argv[1], int(sys.argv[2])


def job(number):
    r = redis.Redis.from_url(url)
    r.hincrby("rq:test:done", str(number), 1)
    return number * 2


class Here(SimpleWorker):
    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self):
        pass


if __name__ == "__main__":
    # Workers import the job by its module's name.
    import rq_jobs

    print("working", flush=True)
    connection = redis.Redis.from_url(url)
    queue = Queue("jobs", connection=connection)
    ids = [queue.enqueue(rq_jobs.job, number, result_ttl=5000).id for number in range(count)]

    def work():
        Here([Queue("jobs", connection=redis.Redis.from_url(url))], connection=redis.Redis.from_url(url)).work(burst=True, logging_level="ERROR")

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    done = {key.decode(): int(value) for key, value in connection.hgetall("rq:test:done").items()}
    more = [key for key, value in done.items() if value != 1]
    print(json.dumps({"done": len(done), "more": more, "left": len(queue), "failed": queue.failed_job_registry.count}))
    sys.exit(0 if len(done) == count and not more and len(queue) == 0 else 1)
