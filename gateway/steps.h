/* clang-format off */
/* THE WAY OF A REQUEST. One line a step; request*.c have one step_<name>() each.
 *
 *     read → route → authorize → parse → lookup → [follow] → answer → respond
 *                                          |  fresh | stale (refreshed behind) | in flight | none
 *
 * The exits are data: the loop in request.c holds every step to them.
 *
 *     STEP(name, where it may go, what it does)
 *
 * A call in the upstream's own protocol (request_legacy.c) goes the same way: its source can be several,
 * and its answer leaves in pieces while the fetches still run.
 */
STEP(read, TO(route) | TO(respond), "take method, URL, headers; refuse what no endpoint takes")
STEP(route, TO(authorize) | TO(answer) | TO(respond), "find the endpoint; open ones go on at once")
STEP(authorize, TO(parse) | TO(answer) | TO(respond), "who asks, and what they may see")
STEP(parse, TO(lookup) | TO(respond), "query string, body or cursor → query and its digest")
STEP(lookup, TO(answer) | TO(follow) | TO(respond), "find a result that may serve: fresh, stale, or none")
STEP(follow, TO(answer) | TO(respond), "wait for the one fetch that makes the result")
STEP(answer, TO(respond) | TO(lookup), "source × filter × transform × framing; or it was a list, on to what it names")
STEP(respond, TO(done), "send it whole, or piece by piece, or break visibly; one line in the log")
