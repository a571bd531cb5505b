#include "net/notify.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX 512

static unsigned long long number_of(const char *name)
{
    const char *text = getenv(name);
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

static bool set_address(struct xt_notify *notify, const char *path)
{
    size_t length = path == NULL ? 0 : strlen(path);
    if (length < 2 || length >= sizeof(notify->address.sun_path) ||
        (path[0] != '/' && path[0] != '@')) {
        return false;
    }
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, path, length);
    if (path[0] == '@') {
        notify->address.sun_path[0] = '\0';
    }
    /* An abstract name is as long as it is said to be; a path may do without its NUL. */
    notify->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

void xt_notify_open(struct xt_notify *notify, bool heir)
{
    *notify = (struct xt_notify){.socket = -1};
    if (set_address(notify, getenv("NOTIFY_SOCKET"))) {
        notify->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    unsigned long long pid = number_of("WATCHDOG_PID");
    unsigned long long us = number_of("WATCHDOG_USEC");
    if (us >= 1000 && us / 1000 <= 86400000 &&
        (heir || pid == 0 || pid == (unsigned long long)getpid())) {
        notify->watchdog_ms = (unsigned)(us / 1000);
    }
    xt_notify_take_back();
}

void xt_notify_take_back(void)
{
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

void xt_notify_close(struct xt_notify *notify)
{
    if (notify->socket >= 0) {
        close(notify->socket);
        notify->socket = -1;
    }
}

void xt_notify_pass_on(const struct xt_notify *notify)
{
    char path[sizeof(notify->address.sun_path) + 1] = "", us[32];
    if (notify->socket >= 0) {
        memcpy(path, notify->address.sun_path,
               notify->size - offsetof(struct sockaddr_un, sun_path));
        path[0] = path[0] == '\0' ? '@' : path[0];
        (void)setenv("NOTIFY_SOCKET", path, 1);
    }
    if (notify->watchdog_ms > 0) {
        (void)snprintf(us, sizeof(us), "%u000", notify->watchdog_ms);
        (void)setenv("WATCHDOG_USEC", us, 1);
    }
}

static void tell(const struct xt_notify *notify, const char *text)
{
    if (notify->socket >= 0) {
        (void)sendto(notify->socket, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                     (const struct sockaddr *)&notify->address, notify->size);
    }
}

void xt_notify_ready(const struct xt_notify *notify, const char *text)
{
    char message[MESSAGE_MAX];
    (void)snprintf(message, sizeof(message), "READY=1\nSTATUS=%s\n", text);
    tell(notify, message);
}

void xt_notify_reloading(const struct xt_notify *notify)
{
    char message[MESSAGE_MAX];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    /* The time lets the manager tell this reload's READY from an earlier one's. */
    (void)snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reloading\n",
                   (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    tell(notify, message);
}

void xt_notify_stopping(const struct xt_notify *notify)
{
    tell(notify, "STOPPING=1\nSTATUS=draining\n");
}

void xt_notify_text(const struct xt_notify *notify, const char *text)
{
    char message[MESSAGE_MAX];
    (void)snprintf(message, sizeof(message), "STATUS=%s\n", text);
    tell(notify, message);
}

void xt_notify_alive(const struct xt_notify *notify)
{
    tell(notify, "WATCHDOG=1\n");
}

void xt_notify_main_process(const struct xt_notify *notify, pid_t pid)
{
    char message[MESSAGE_MAX];
    (void)snprintf(message, sizeof(message), "MAINPID=%ld\n", (long)pid);
    tell(notify, message);
}
