/* Users, groups, capabilities and limits of the process. */
#include "control/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/span.h"
#include "base/text.h"
#include "config/config.h"

struct identity {
    uid_t user;
    gid_t group;
    char name[64]; /* for the supplementary groups; empty: a number without a name */
};

static bool identity_find_group(struct identity *identity, const char *name, struct error *error)
{
    errno = 0;
    const struct group *group = getgrnam(name);
    uint64_t number;
    if (group != NULL)
        identity->group = group->gr_gid;
    else if (text_to_number(span_of(name), UINT32_MAX - 1, &number))
        identity->group = (gid_t)number;
    else
        return error_set(error, "there is no group \"%s\"", name);
    return true;
}

static bool identity_find(struct identity *identity, const char *text, struct error *error)
{
    char user[64];
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : strlen(text);
    if (length == 0 || length >= sizeof user)
        return error_set(error, "there is no user \"%s\"", text);
    memcpy(user, text, length);
    user[length] = '\0';
    const struct passwd *found = getpwnam(user);
    uint64_t number;
    identity->name[0] = '\0';
    if (found != NULL) {
        identity->user = found->pw_uid;
        identity->group = found->pw_gid;
        memcpy(identity->name, user, length + 1);
    } else if (text_to_number(span_of(user), UINT32_MAX - 1, &number)) {
        identity->user = (uid_t)number;
        identity->group = (gid_t)number;
    } else {
        return error_set(error, "there is no user \"%s\"", user);
    }
    return colon == NULL || identity_find_group(identity, colon + 1, error);
}

/* All capabilities but the one to open low ports go. The C library has no call for this. */
static void privileges_keep_low_ports(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    data[0].effective = data[0].permitted = 1u << CAP_NET_BIND_SERVICE;
    if (syscall(SYS_capset, &header, data) != 0)
        log_info("control", "low ports cannot be opened by a reload", KV("why", strerrordesc_np(errno)));
}

static void privileges_check_file(const char *path)
{
    if (path == NULL || strcmp(path, "-") == 0 || access(path, R_OK) == 0)
        return;
    log_warn("control", "the user that weir has become cannot read a file, so a reload will fail",
             KV("file", path), KV("why", strerrordesc_np(errno)));
}

static bool identity_is_ours(const struct identity *identity)
{
    return geteuid() == identity->user && getegid() == identity->group;
}

bool privileges_try(const char *user, struct error *error)
{
    struct identity identity;
    if (!identity_find(&identity, user, error))
        return false;
    return identity_is_ours(&identity) || geteuid() == 0 ||
           error_set(error, "only root can become user \"%s\"; start weir as root or leave `user` out", user);
}

bool privileges_drop(const char *user, struct error *error)
{
    struct identity identity;
    if (user == NULL)
        return true;
    if (!privileges_try(user, error) || !identity_find(&identity, user, error))
        return error_wrap(error, "user");
    if (identity_is_ours(&identity))
        return true;
    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    int result = identity.name[0] != '\0' ? initgroups(identity.name, identity.group) : setgroups(0, NULL);
    if (result != 0 || setgid(identity.group) != 0 || setuid(identity.user) != 0)
        return error_set_errno(error, errno, "cannot become user \"%s\"", user);
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    if (identity.user != 0)
        privileges_keep_low_ports();
    return true;
}

void privileges_check_files(const struct config *config)
{
    privileges_check_file(config->path);
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct tls_config *tls = config->listeners[i].tls;
        for (size_t j = 0; tls != NULL && j < tls->certificates_count; j++) {
            privileges_check_file(tls->certificates[j].cert);
            privileges_check_file(tls->certificates[j].key);
        }
    }
}

void privileges_raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &limit); /* what fits is counted by what it then is */
}
