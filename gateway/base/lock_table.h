/* clang-format off */
/* Every lock class, in the one legal order: a thread may only take a lock whose class stands
 * below all those that it holds. No lock is held across network, client write or sleep.
 *
 *     LOCK(name, what it guards)
 */
LOCK(JANITOR, "gateway/janitor: whether it has to stop")
LOCK(FETCH, "fetch/fetch: one fetch's calls and counts")
LOCK(FLIGHT, "fetch/flight: the table of flights and every flight's state")
LOCK(DEMAND, "fetch/demand: what is asked for, and how often results are used")
LOCK(MEMORY, "fetch/memory: what all fetches have learned of failing")
LOCK(BUDGET_KEEP, "upstream/budget: writing the windows down; held over a commit")
LOCK(BUDGET, "upstream/budget: the queue of calls and the windows")
LOCK(CREDENTIAL, "upstream/credential: the token")
LOCK(QUOTA, "front/quota: what each consumer has used of its hour")
LOCK(USAGE, "legacy/usage: the sums of the migration report")
LOCK(MATCHES, "answer/matches: what is known of which records pass a filter")
LOCK(WORKERS, "front/workers: the registry of workers")
LOCK(CACHE_QUEUE, "cache/writer: batches that wait to be written")
LOCK(CACHE_WRITE, "cache: the one writer; held over a commit")
LOCK(CACHE_RESULTS, "cache: the table of open results")
