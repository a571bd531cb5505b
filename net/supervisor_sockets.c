#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "net/listener.h"
#include "net/supervisor_internal.h"

#define PORT_TRIES 20 /* another program may take the port that the system picked before we do */

static int *socket_of(struct xt_slot *slot, bool admin)
{
    return admin ? &slot->admin_socket : &slot->api_socket;
}

static enum xt_status check_admin(int socket, const char *address, struct xt_failure *failure)
{
    return xt_listening_on_loopback(socket)
               ? XT_OK
               : xt_fail(failure, XT_DENIED,
                         "the admin listener has no authentication: %s is not loopback; use "
                         "127.0.0.1:PORT or [::1]:PORT",
                         address);
}

/* One socket for each worker at the same address. The first look is at an address of our own: beside a
 * server that is there already, half of its clients would be ours without anybody having meant it. */
static enum xt_status open_at(struct xt_supervisor *supervisor, const char *wanted, bool admin,
                              struct xt_failure *failure)
{
    char address[XT_ADDRESS_TEXT];
    int probe = -1;
    enum xt_status status = xt_listen(wanted, &probe, failure);
    if (status != XT_OK) {
        return status;
    }
    xt_listening_address(probe, address);
    if (admin) {
        status = check_admin(probe, wanted, failure);
    }
    close(probe);
    for (unsigned i = 0; status == XT_OK && i < supervisor->workers; i++) {
        status = xt_listen_beside(address, socket_of(&supervisor->slots[i], admin), failure);
    }
    return status;
}

static void close_all(struct xt_supervisor *supervisor, bool admin)
{
    for (unsigned i = 0; i < supervisor->workers; i++) {
        int *socket = socket_of(&supervisor->slots[i], admin);
        if (*socket >= 0) {
            close(*socket);
            *socket = -1;
        }
    }
}

static bool lets_system_pick(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon != NULL && strcmp(colon, ":0") == 0;
}

static enum xt_status open_all(struct xt_supervisor *supervisor, const char *wanted, bool admin,
                               struct xt_failure *failure)
{
    bool picks = lets_system_pick(wanted);
    enum xt_status status = open_at(supervisor, wanted, admin, failure);
    for (unsigned i = 0; status == XT_IO && picks && i < PORT_TRIES; i++) {
        close_all(supervisor, admin);
        status = open_at(supervisor, wanted, admin, failure);
    }
    return status;
}

enum xt_status xt_sockets_open(struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    enum xt_status status = open_all(supervisor, supervisor->settings.listen, false, failure);
    return status == XT_OK ? open_all(supervisor, supervisor->settings.admin_listen, true, failure)
                           : status;
}

void xt_sockets_set_right(const struct xt_slot *slot)
{
    const int sockets[] = {slot->api_socket, slot->admin_socket};
    for (unsigned i = 0; i < 2; i++) {
        int flags = fcntl(sockets[i], F_GETFL);
        if (flags >= 0) {
            (void)fcntl(sockets[i], F_SETFL, flags | O_NONBLOCK);
        }
    }
}

void xt_sockets_close(struct xt_supervisor *supervisor)
{
    if (supervisor->slots != NULL) {
        close_all(supervisor, false);
        close_all(supervisor, true);
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
