#include <string.h>
#include <unistd.h>

#include "net/listener.h"
#include "net/supervisor_internal.h"

#define PORT_TRIES 20 /* another program may take the port that the system picked before we do */

/* One socket for each worker at the same address. The first look is at an address of our own: beside a
 * server that is there already, half of its clients would be ours without anybody having meant it. */
static enum xt_status open_api_sockets(struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    char address[XT_ADDRESS_TEXT];
    int probe = -1;
    enum xt_status status = xt_listen(supervisor->settings.listen, &probe, failure);
    if (status != XT_OK) {
        return status;
    }
    xt_listening_address(probe, address);
    close(probe);
    for (unsigned i = 0; status == XT_OK && i < supervisor->workers; i++) {
        status = xt_listen_beside(address, &supervisor->slots[i].api_socket, failure);
    }
    return status;
}

static void close_api_sockets(struct xt_supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->workers; i++) {
        if (supervisor->slots[i].api_socket >= 0) {
            close(supervisor->slots[i].api_socket);
            supervisor->slots[i].api_socket = -1;
        }
    }
}

static bool lets_system_pick(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon != NULL && strcmp(colon, ":0") == 0;
}

enum xt_status xt_sockets_open(struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    bool picks = lets_system_pick(supervisor->settings.listen);
    enum xt_status status = open_api_sockets(supervisor, failure);
    for (unsigned i = 0; status == XT_IO && picks && i < PORT_TRIES; i++) {
        close_api_sockets(supervisor);
        status = open_api_sockets(supervisor, failure);
    }
    if (status == XT_OK) {
        status = xt_listen(supervisor->settings.admin_listen, &supervisor->admin_socket, failure);
    }
    if (status == XT_OK && !xt_listening_on_loopback(supervisor->admin_socket)) {
        return xt_fail(failure, XT_DENIED,
                       "the admin listener has no authentication: %s is not loopback; use "
                       "127.0.0.1:PORT or [::1]:PORT",
                       supervisor->settings.admin_listen);
    }
    return status;
}

void xt_sockets_close(struct xt_supervisor *supervisor)
{
    if (supervisor->slots != NULL) {
        close_api_sockets(supervisor);
    }
    if (supervisor->admin_socket >= 0) {
        close(supervisor->admin_socket);
        supervisor->admin_socket = -1;
    }
}

bool xt_sockets_are_at(int socket, const char *address)
{
    char text[XT_ADDRESS_TEXT];
    xt_listening_address(socket, text);
    if (lets_system_pick(address)) {
        const char *colon = strrchr(text, ':');
        size_t host = colon == NULL ? 0 : (size_t)(colon - text);
        return strncmp(text, address, host) == 0 && address[host] == ':';
    }
    return strcmp(text, address) == 0;
}
