#include "net/watch.h"

#include <dirent.h>
#include <sys/stat.h>

#include "net/log.h"

static void mix(uint64_t *hash, uint64_t value)
{
    *hash = (*hash ^ value) * 0x9e3779b97f4a7c15U;
    *hash ^= *hash >> 32;
}

static void mix_facts(uint64_t *hash, const struct stat *facts)
{
    mix(hash, (uint64_t)facts->st_dev);
    mix(hash, (uint64_t)facts->st_ino);
    mix(hash, (uint64_t)facts->st_size);
    mix(hash, (uint64_t)facts->st_mtim.tv_sec);
    mix(hash, (uint64_t)facts->st_mtim.tv_nsec);
}

/* A file edited in place leaves its folder as it was: where nobody tells us of it, look at each. */
static uint64_t look_at_files(const char *folder)
{
    uint64_t all = 0;
    DIR *list = opendir(folder);
    if (list == NULL) {
        return 0;
    }
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        struct stat facts;
        if (fstatat(dirfd(list), entry->d_name, &facts, 0) == 0) {
            uint64_t one = 0;
            for (const char *letter = entry->d_name; *letter != '\0'; letter++) {
                mix(&one, (uint8_t)*letter);
            }
            mix_facts(&one, &facts);
            all += one; /* whatever their order */
        }
    }
    closedir(list);
    return all;
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status);

static void listen_to_events(struct xt_watch *watch)
{
    (void)uv_fs_event_stop(&watch->event);
    int error = uv_fs_event_start(&watch->event, on_event, watch->folder, 0);
    watch->told = error == 0;
    if (error != 0) {
        struct xt_log_line line;
        xt_log_begin(&line, XT_LOG_WARNING, "watch_failed");
        xt_log_text(&line, "folder", watch->folder);
        xt_log_text(&line, "reason", uv_strerror(error));
        xt_log_text(&line, "instead", "looking once a second");
        xt_log_end(&line);
    }
}

/* True when anything is not as at the last look. */
static bool look(struct xt_watch *watch)
{
    struct stat found;
    if (stat(watch->folder, &found) != 0) {
        watch->inode = 0; /* what comes in its place is another one, whatever its number */
        return false;     /* what is loaded stays in force */
    }
    if (found.st_dev != watch->device || found.st_ino != watch->inode) {
        /* Another folder has its name: inotify still hangs on the one before. */
        watch->device = found.st_dev;
        watch->inode = found.st_ino;
        listen_to_events(watch);
    }
    uint64_t seen = watch->told ? 0 : look_at_files(watch->folder);
    mix_facts(&seen, &found);
    bool same = seen == watch->seen;
    watch->seen = seen;
    return !same;
}

static void on_timer(uv_timer_t *timer)
{
    struct xt_watch *watch = timer->data;
    /* The event may have been the end of the folder that was watched; the next one can even have its
     * inode number. */
    listen_to_events(watch);
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
    if (uv_timer_init(loop, &watch->timer) != 0 || uv_fs_event_init(loop, &watch->event) != 0) {
        return XT_IO;
    }
    watch->timer.data = watch->event.data = watch;
    (void)look(watch); /* the first look also begins to listen */
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
