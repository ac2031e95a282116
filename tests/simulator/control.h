/* The control surface: a second listener on loopback where tests look and steer. README.md has
 * its requests.
 */
#ifndef SIM_CONTROL_H
#define SIM_CONTROL_H

#include <microhttpd.h>
#include <stdint.h>

struct sim;
struct MHD_Daemon *control_start(struct sim *s, uint16_t port);

#endif
