#include "net/watch.h"

#include <stdio.h>
#include <sys/stat.h>

#include "net/log.h"

/* Sets watch->changed; true when it is another time than before. */
static bool look(struct xt_watch *watch)
{
    struct stat found;
    if (stat(watch->folder, &found) != 0) {
        return false; /* what is loaded stays in force */
    }
    bool same = found.st_mtim.tv_sec == watch->changed.tv_sec &&
                found.st_mtim.tv_nsec == watch->changed.tv_nsec;
    watch->changed = found.st_mtim;
    return !same;
}

static void on_timer(uv_timer_t *timer)
{
    struct xt_watch *watch = timer->data;
    (void)look(watch);
    watch->tell(watch->context);
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct xt_watch *watch = event->data;
    (void)name;
    (void)events;
    (void)status;
    if (!uv_is_active((uv_handle_t *)&watch->timer)) { /* from the first of a burst, not the last */
        (void)uv_timer_start(&watch->timer, on_timer, XT_WATCH_GATHER_MS, 0);
    }
}

enum xt_status xt_watch_open(struct xt_watch *watch, uv_loop_t *loop, const char *folder,
                             void (*tell)(void *context), void *context)
{
    *watch = (struct xt_watch){.tell = tell, .context = context};
    if (strlen(folder) >= sizeof(watch->folder)) {
        return XT_TOO_LARGE;
    }
    memcpy(watch->folder, folder, strlen(folder) + 1);
    (void)look(watch);
    if (uv_timer_init(loop, &watch->timer) != 0 || uv_fs_event_init(loop, &watch->event) != 0) {
        return XT_IO;
    }
    watch->timer.data = watch->event.data = watch;
    int error = uv_fs_event_start(&watch->event, on_event, folder, 0);
    if (error != 0) { /* polling goes on */
        struct xt_log_line line;
        xt_log_begin(&line, XT_LOG_WARNING, "watch_failed");
        xt_log_text(&line, "folder", folder);
        xt_log_text(&line, "reason", uv_strerror(error));
        xt_log_end(&line);
    }
    return XT_OK;
}

void xt_watch_poll(struct xt_watch *watch)
{
    if (look(watch)) {
        watch->tell(watch->context);
    }
}

void xt_watch_close(struct xt_watch *watch)
{
    uv_close((uv_handle_t *)&watch->timer, NULL);
    uv_close((uv_handle_t *)&watch->event, NULL);
}
