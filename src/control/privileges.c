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

/* By its numbers: a name that stands for 0 is root too. */
static bool identity_is_ours(const struct identity *identity)
{
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;
    if (getresuid(&real, &effective, &saved) != 0 ||
        getresgid(&real_group, &effective_group, &saved_group) != 0)
        return false;
    return real == identity->user && effective == identity->user && saved == identity->user &&
           real_group == identity->group && effective_group == identity->group &&
           saved_group == identity->group;
}

static bool identity_take_groups(const struct identity *identity)
{
    return (identity->name[0] != '\0' ? initgroups(identity->name, identity->group) : setgroups(0, NULL)) ==
           0;
}

/* All capabilities but the one to open low ports go; it stays where it is there. The C library has no call
 * for this. */
static bool privileges_keep_low_ports(struct error *error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    if (syscall(SYS_capget, &header, data) != 0)
        return error_set_errno(error, errno, "the capabilities of the process cannot be told");
    uint32_t kept = data[0].permitted & (1u << CAP_NET_BIND_SERVICE);
    if (kept == 0)
        log_info("control", "low ports cannot be opened by a reload",
                 KV("why", "weir was started without CAP_NET_BIND_SERVICE"));
    memset(data, 0, sizeof data);
    data[0].effective = data[0].permitted = kept;
    return syscall(SYS_capset, &header, data) == 0 ||
           error_set_errno(error, errno, "capabilities cannot be given up");
}

/* In this order: what comes first needs what goes later. */
static bool identity_become(const struct identity *identity, struct error *error)
{
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
        return error_set_errno(error, errno, "capabilities cannot be kept over a change of user");
    if (!identity_take_groups(identity))
        return error_set_errno(error, errno, "its groups cannot be taken");
    if (setgid(identity->group) != 0)
        return error_set_errno(error, errno, "group %lu cannot be taken", (unsigned long)identity->group);
    if (setuid(identity->user) != 0)
        return error_set_errno(error, errno, "user %lu cannot be taken", (unsigned long)identity->user);
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0)
        return error_set_errno(error, errno, "capabilities would be kept over a further change of user");
    if (identity->user != 0 && !privileges_keep_low_ports(error))
        return false;
    if (!identity_is_ours(identity) || (identity->user != 0 && setuid(0) == 0))
        return error_set(error, "it could become root again");
    return true;
}

bool privileges_is_root(const char *user)
{
    size_t length = strcspn(user, ":");
    return (length == 4 && strncmp(user, "root", 4) == 0) || (length != 0 && strspn(user, "0") == length);
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
    return identity_is_ours(&identity) || identity_become(&identity, error) ||
           error_wrap(error, "cannot become user \"%s\"", user);
}

bool privileges_as(const char *user, void (*act)(void *owner), void *owner, struct error *error)
{
    struct identity identity;
    if (!identity_find(&identity, user, error))
        return false;
    if (geteuid() != 0 || identity.user == 0) {
        act(owner);
        return true;
    }
    gid_t *groups = NULL, group = getegid();
    int count = getgroups(0, NULL);
    if (count > 0)
        groups = xcalloc((size_t)count, sizeof *groups);
    count = getgroups(count, groups);
    bool done = count >= 0 && identity_take_groups(&identity) && setegid(identity.group) == 0 &&
                seteuid(identity.user) == 0;
    int number = errno;
    if (done)
        act(owner);
    if (seteuid(0) != 0 || setegid(group) != 0 || (count >= 0 && setgroups((size_t)count, groups) != 0))
        die("root could not be taken back");
    free(groups);
    return done || error_set_errno(error, number, "cannot act as user \"%s\"", user);
}

void privileges_raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &limit); /* what fits is counted by what it then is */
}
