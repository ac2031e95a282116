/* The listeners: the simulated upstream, and whatever else wants one (control.c).
 *
 * Threads: start and stop from the main thread; requests each in a thread of their own.
 */
#ifndef SIM_HTTP_H
#define SIM_HTTP_H

#include <microhttpd.h>
#include <stdint.h>

struct sim;

/* Listens on 127.0.0.1 (port 0: any) with one thread a connection. NULL: it cannot. */
struct MHD_Daemon *http_listen(uint16_t port, MHD_AccessHandlerCallback handler, void *ctx,
    MHD_RequestCompletedCallback completed,
    void *(*uri_log)(void *, const char *, struct MHD_Connection *));
uint16_t http_port(struct MHD_Daemon *daemon);

struct MHD_Daemon *upstream_start(struct sim *s, uint16_t port);

#endif
