/* FastCGI: one request at a time from nginx, one answer back. The only includer of libfcgi.
 *
 * An answer leaves in one of two ways: fcgi_answer() sends a whole one, whose head carries an exact
 * Content-Length (or fcgi_stream() one piece after another), and fcgi_finish() then ends the
 * request; fcgi_abort() breaks the connection without ending the request, so that nginx, and
 * through it the client, sees a broken transfer. An answer that could not be sent whole ends in
 * fcgi_abort(), never in a clean end: nginx takes a dead application for the end of the answer
 * wherever no Content-Length contradicts it (measured, nginx 1.22).
 *
 * Threads: fcgi_listen() and fcgi_init() at startup; one struct fcgi per worker.
 */
#ifndef FRONT_FCGI_H
#define FRONT_FCGI_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "gateway/base/attr.h"
#include "gateway/base/buf.h"
#include "gateway/base/status.h"

struct fcgi;

/* Once, before signal handlers are set: libfcgi sets its own. */
enum status fcgi_init(void) NODISCARD;

/* A listening unix socket at `path`, mode 0660, backlog 4096, close-on-exec. A socket left behind
 * by a dead process is replaced; one that answers is not (STATUS_BUSY). STATUS_INTERNAL: logged. */
enum status fcgi_listen(const char *path, int *ret_fd) NODISCARD;

struct fcgi *fcgi_new(int listen_fd) NODISCARD;
void fcgi_free(struct fcgi *f); /* closes a connection that is still open */

/* Waits for the next request.
 *   STATUS_OK
 *   STATUS_STOPPING  fcgi_stop() was called
 *   STATUS_BUSY      out of descriptors or memory: wait a moment, then go on
 *   STATUS_INTERNAL  anything else: likewise */
enum status fcgi_accept(struct fcgi *f) NODISCARD;
/* From now on every fcgi_accept() gives STATUS_STOPPING as soon as it is woken (by a signal that
 * interrupts accept()). Async-signal-safe. */
void fcgi_stop(void);

/* The connection's descriptor; -1 if there is none. For the registry of workers alone. */
int fcgi_fd(const struct fcgi *f);

/* A parameter of the current request; NULL if absent. Borrowed until the request ends. */
const char *fcgi_param(const struct fcgi *f, const char *name);
/* How often it was sent: headers may come twice. fcgi_param_at() gives each of them in turn, NULL
 * behind the last. */
unsigned fcgi_param_count(const struct fcgi *f, const char *name);
const char *fcgi_param_at(const struct fcgi *f, const char *name, unsigned nth);

/* The request's body, `len` bytes as announced. STATUS_OK; STATUS_BAD_REQUEST: it was shorter. */
enum status fcgi_read_body(struct fcgi *f, struct buf *body, size_t len) NODISCARD;

/* Sends head (with its empty line) and body, whole. STATUS_OK or STATUS_CLIENT_GONE, after which
 * the connection is aborted. */
enum status fcgi_answer(
    struct fcgi *f, const char *head, size_t head_len, const char *body, size_t body_len);
/* The next piece of an answer whose length nobody knows before; the first one begins with its
 * head. STATUS_OK once all of it is on its way, or STATUS_CLIENT_GONE as above. Only with
 * nginx's keep_conn and buffering does the client see it break where it is aborted
 * (server.conf). */
enum status fcgi_stream(struct fcgi *f, const char *bytes, size_t len);
/* nginx has closed the connection: the client is gone, as far as anybody knows. For who has
 * nothing to send, and would not notice otherwise. */
bool fcgi_hung_up(const struct fcgi *f);
/* The request ends well: sends its end, which may wait for room; on failure the connection is aborted.
 * Nothing happens if it has ended or was aborted. */
void fcgi_end(struct fcgi *f);
/* Likewise, and parameters are gone; of a connection that is not kept the descriptor is closed. */
void fcgi_finish(struct fcgi *f);
/* The connection breaks off, visibly for the client. Parameters stay until fcgi_finish(). */
void fcgi_abort(struct fcgi *f);

#endif
