/*
 * The set of what was read. A pair of files whose place, size and times are as they were is not even opened;
 * of what has to be opened only bytes that are new are decoded. One thread calls; others, started for one
 * call, read and decode side by side.
 */
#include "tls/tls_files.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "tls/tls_error.h"

#define FILE_MOST ((size_t)1 << 20) /* of a certificate with its chain, and of a key */
#define AUTHORITIES_MOST ((size_t)16 << 20)
#define SETTLED_AFTER                                                                    \
    2 /* s: a file changed later than that before it was read may change within one tick \
       */
#define THREADS_MOST 16u
#define JOBS_A_THREAD 32u   /* fewer are not worth one */
#define THOROUGH_MOST 1000u /* jobs */

/* By what a change of a file is seen. */
struct file_mark {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
    bool settled;
};
/* One pair of files as they were read last. */
struct reading {
    struct file_mark cert, key;
    uint64_t round; /* that saw it last */
    struct identity *identity;
};
struct reading_authorities {
    struct file_mark mark;
    uint64_t round;
    struct tls_authorities authorities;
};
struct tls_files {
    struct map *readings;    /* by wish */
    struct map *identities;  /* by what the files hold; these are the set's */
    struct map *authorities; /* by path and level */
    struct map *chains;      /* by what they hold, under the lock */
    pthread_mutex_t lock;
    uint64_t round; /* of loading */
    unsigned threads;
    bool thorough;
    const _Atomic bool *given_up;
};
/* What is not known yet. */
struct job {
    const struct identity_wish *wish;
    struct reading reading;
    unsigned char content[TLS_DIGEST_SIZE];
    struct identity_problem *problem;
    bool made; /* here, and not found in the set */
};
struct work {
    struct tls_files *files;
    struct job *jobs;
    size_t count;
    _Atomic size_t next;
    bool thorough;
};

/* ---- what changes ---- */

static struct file_mark mark_of(const struct stat *status)
{
    return (struct file_mark){.device = status->st_dev,
                              .inode = status->st_ino,
                              .size = status->st_size,
                              .modified = status->st_mtim,
                              .changed = status->st_ctim,
                              .settled = time(NULL) - status->st_ctim.tv_sec > SETTLED_AFTER};
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* The mark was taken ahead of the reading, so what came in between shows. */
static bool mark_holds(const struct file_mark *before, const char *path)
{
    struct stat now;
    return before->settled && stat(path, &now) == 0 && before->device == now.st_dev &&
           before->inode == now.st_ino && before->size == now.st_size &&
           same_time(&before->modified, &now.st_mtim) && same_time(&before->changed, &now.st_ctim);
}

/* ---- the set ---- */

struct tls_files *tls_files_new(void)
{
    struct tls_files *files = xcalloc(1, sizeof *files);
    files->readings = map_new();
    files->identities = map_new();
    files->authorities = map_new();
    files->chains = map_new();
    pthread_mutex_init(&files->lock, NULL);
    files->round = 1;
    files->threads = 1;
    return files;
}

void tls_files_begin(struct tls_files *files, unsigned threads, bool thorough, const _Atomic bool *given_up)
{
    files->round++;
    files->threads = threads;
    files->thorough = thorough;
    files->given_up = given_up;
}

static struct text wish_key(const struct identity_wish *wish)
{
    struct text key = text_growing();
    text_char(&key, (char)('0' + wish->level));
    text_char(&key, wish->client ? 'c' : 's');
    text_add(&key, span_of(wish->cert));
    text_char(&key, '\0');
    text_add(&key, span_of(wish->key));
    return key;
}

struct tls_chain *tls_files_chain_find(struct tls_files *files, struct span digest)
{
    pthread_mutex_lock(&files->lock);
    struct tls_chain *chain = map_get(files->chains, digest);
    pthread_mutex_unlock(&files->lock);
    return chain;
}

struct tls_chain *tls_files_chain_add(struct tls_files *files, struct span digest, struct tls_chain *chain)
{
    pthread_mutex_lock(&files->lock);
    struct tls_chain *first = map_get(files->chains, digest);
    if (first == NULL)
        map_set(files->chains, digest, chain);
    pthread_mutex_unlock(&files->lock);
    if (first == NULL)
        return chain;
    tls_chain_free(chain); /* another thread has made the same meanwhile */
    return first;
}

/* ---- reading ---- */

static bool content_of(const struct identity_wish *wish, struct span cert, struct span key,
                       unsigned char content[TLS_DIGEST_SIZE])
{
    const size_t numbers[] = {(size_t)wish->level, wish->client, cert.length};
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool taken = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
                 EVP_DigestUpdate(digest, numbers, sizeof numbers) == 1 &&
                 EVP_DigestUpdate(digest, cert.at, cert.length) == 1 &&
                 EVP_DigestUpdate(digest, key.at, key.length) == 1 &&
                 EVP_DigestFinal_ex(digest, content, NULL) == 1;
    EVP_MD_CTX_free(digest);
    return taken;
}

static void bytes_free(struct span *bytes)
{
    if (bytes->at != NULL)
        explicit_bzero((char *)(uintptr_t)bytes->at, bytes->length);
    free((char *)(uintptr_t)bytes->at);
}

static struct identity *job_identity(struct tls_files *files, struct identity_maker *maker, struct job *job,
                                     struct span cert, struct span key)
{
    if (!content_of(job->wish, cert, key, job->content)) {
        tls_error(&job->problem->error, "%s: no digest of it can be made", job->wish->cert);
        return NULL;
    }
    struct span content = span_make((const char *)job->content, sizeof job->content);
    struct identity *known = map_get(files->identities, content); /* nobody writes it meanwhile */
    job->made = known == NULL;
    return known != NULL ? known : identity_make(maker, job->wish, cert, key, job->problem);
}

/* Any thread. */
static void job_do(struct tls_files *files, struct identity_maker *maker, struct job *job)
{
    struct span cert = SPAN_NONE, key = SPAN_NONE;
    const struct identity_wish *wish = job->wish;
    if (files->given_up != NULL && atomic_load(files->given_up)) {
        error_set(&job->problem->error, "the loading was given up");
        return;
    }
    struct stat of_cert, of_key;
    bool read = file_read_status(wish->cert, FILE_MOST, &cert, &of_cert, &job->problem->error);
    job->problem->of_key = read;
    if (read && file_read_status(wish->key, FILE_MOST, &key, &of_key, &job->problem->error)) {
        job->problem->of_key = false;
        job->reading.cert = mark_of(&of_cert);
        job->reading.key = mark_of(&of_key);
        job->reading.identity = job_identity(files, maker, job, cert, key);
    }
    bytes_free(&cert);
    bytes_free(&key);
}

static void *work_do(void *argument)
{
    struct work *work = argument;
    struct identity_maker *maker = identity_maker_new(work->files, work->thorough);
    size_t at;
    while ((at = atomic_fetch_add(&work->next, 1)) < work->count)
        job_do(work->files, maker, &work->jobs[at]);
    identity_maker_free(maker);
    memory_thread_serves(NULL); /* it may end: what it has taken is told */
    return NULL;
}

static void work_together(struct work *work)
{
    pthread_t threads[THREADS_MOST];
    unsigned count = 0;
    size_t wanted = work->count / JOBS_A_THREAD;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited: signals are control's */
    while (count + 1 < work->files->threads && count < wanted && count < THREADS_MOST &&
           pthread_create(&threads[count], NULL, work_do, work) == 0)
        count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)work_do(work);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

/* Into the set, whose the identity is from now on. */
static bool job_keep(struct tls_files *files, struct job *job)
{
    struct identity *identity = job->reading.identity;
    if (identity == NULL)
        return false;
    struct span content = span_make((const char *)job->content, sizeof job->content);
    struct identity *known = map_get(files->identities, content);
    if (known == NULL) {
        map_set(files->identities, content, identity);
        identity->chain->users++;
    } else if (job->made) {
        identity_free(identity); /* the same bytes under another name in this very call */
        job->reading.identity = known;
    }
    struct text key = wish_key(job->wish);
    struct reading *reading = map_get(files->readings, text_span(&key));
    if (reading == NULL) {
        reading = xcalloc(1, sizeof *reading);
        map_set(files->readings, text_span(&key), reading);
    }
    *reading = job->reading;
    reading->round = files->round;
    text_free(&key);
    return true;
}

/* What is known already, without opening a file; NULL: it has to be read. */
static struct reading *reading_known(struct tls_files *files, const struct identity_wish *wish)
{
    struct text key = wish_key(wish);
    struct reading *reading = map_get(files->readings, text_span(&key));
    text_free(&key);
    if (reading == NULL || reading->round == files->round)
        return reading;
    if (!mark_holds(&reading->cert, wish->cert) || !mark_holds(&reading->key, wish->key))
        return NULL;
    reading->round = files->round;
    return reading;
}

bool tls_files_identities(struct tls_files *files, const struct identity_wish *wishes, size_t count,
                          struct identity **identities, struct identity_problem *problems)
{
    struct work work = {.files = files, .jobs = xcalloc(count + 1, sizeof *work.jobs)};
    size_t *places = xcalloc(count + 1, sizeof *places);
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        const struct reading *known = reading_known(files, &wishes[i]);
        identities[i] = known != NULL ? known->identity : NULL;
        if (known != NULL)
            continue;
        places[work.count] = i;
        work.jobs[work.count++] = (struct job){.wish = &wishes[i], .problem = &problems[i]};
    }
    work.thorough = files->thorough || work.count <= THOROUGH_MOST;
    if (work.count != 0)
        work_together(&work);
    for (size_t i = 0; i < work.count; i++) {
        all = job_keep(files, &work.jobs[i]) && all;
        identities[places[i]] = work.jobs[i].reading.identity;
    }
    free(places);
    free(work.jobs);
    return all;
}

/* ---- authorities ---- */

static void authorities_end(struct tls_authorities *authorities)
{
    X509_STORE_free(authorities->store);
    sk_X509_pop_free(authorities->certificates, X509_free);
    free(authorities->warnings);
    *authorities = (struct tls_authorities){.store = NULL};
}

/* Extensions are decoded and kept when they are first asked for: here, and not by whichever of the threads
 * that share them verifies a chain first. */
static void certificate_decode(X509 *certificate)
{
    if (certificate != NULL)
        (void)X509_check_purpose(certificate, -1, 0);
}

/* Those in one PEM file, each once. */
static bool authorities_decode(struct tls_authorities *authorities, const char *path, struct span bytes,
                               struct error *error)
{
    BIO *file = BIO_new_mem_buf(bytes.at, (int)bytes.length);
    X509 *certificate;
    while (file != NULL && (certificate = PEM_read_bio_X509_AUX(file, NULL, NULL, NULL)) != NULL) {
        certificate_decode(certificate);
        sk_X509_push(authorities->certificates, certificate);
        X509_STORE_add_cert(authorities->store, certificate);
    }
    unsigned long last = ERR_peek_last_error();
    bool ended = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    BIO_free(file);
    if (!ended)
        return tls_error(error, "%s is damaged behind %d certificates", path,
                         sk_X509_num(authorities->certificates));
    ERR_clear_error();
    return sk_X509_num(authorities->certificates) != 0 ||
           error_set(error, "%s holds no certificate in PEM; those of the authorities are wanted", path);
}

/* An error where none is left that could verify anything. */
static bool authorities_judge(struct tls_authorities *authorities, const char *path, int level,
                              struct error *error)
{
    char subject[160], why[192], first[400] = "";
    int usable = 0;
    STACK_OF(X509) *all = authorities->certificates;
    authorities->ends = INT64_MIN;
    for (int i = 0; i < sk_X509_num(all); i++) {
        X509 *authority = sk_X509_value(all, i);
        int64_t ends;
        if (!tls_valid_until(authority, &ends))
            ends = INT64_MAX;
        if (tls_judge_authority(authority, all, level, why, sizeof why)) {
            authorities->ends = ends > authorities->ends ? ends : authorities->ends;
            usable++;
            continue;
        }
        tls_warn(&authorities->warnings, "nothing can be verified by certificate %d of the file (%s): %s",
                 i + 1, tls_subject(authority, subject, sizeof subject), why);
        if (first[0] == '\0')
            (void)snprintf(first, sizeof first, "%s: %s", subject, why);
    }
    return usable != 0 ||
           error_set(error,
                     "%s: nothing can be verified by what it holds, so every handshake would fail (%s)", path,
                     first);
}

static bool authorities_fill(struct reading_authorities *reading, const char *path, int level,
                             struct error *error)
{
    struct tls_authorities *authorities = &reading->authorities;
    struct span bytes = SPAN_NONE;
    struct stat status;
    authorities->store = X509_STORE_new();
    authorities->certificates = sk_X509_new_null();
    authorities->ends = INT64_MAX;
    if (path == NULL && X509_STORE_set_default_paths(authorities->store) != 1)
        return tls_error(error, "can't read the system's certificates");
    if (path == NULL) {
        STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(authorities->store);
        for (int i = 0; i < sk_X509_OBJECT_num(all); i++)
            certificate_decode(X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i)));
        return true;
    }
    bool filled = file_read_status(path, AUTHORITIES_MOST, &bytes, &status, error) &&
                  authorities_decode(authorities, path, bytes, error) &&
                  authorities_judge(authorities, path, level, error);
    free((char *)(uintptr_t)bytes.at);
    if (filled)
        reading->mark = mark_of(&status);
    return filled;
}

/* The system's may change below a folder: they are read once a round. */
static bool authorities_hold(const struct tls_files *files, const struct reading_authorities *reading,
                             const char *path)
{
    return reading->round == files->round || (path != NULL && mark_holds(&reading->mark, path));
}

const struct tls_authorities *tls_files_authorities(struct tls_files *files, const char *path, int level,
                                                    struct error *error)
{
    struct text key = text_growing();
    text_print(&key, "%d%c%s", level, path != NULL ? 'f' : 's', path != NULL ? path : "");
    struct reading_authorities *reading = map_get(files->authorities, text_span(&key));
    struct reading_authorities fresh = {.round = files->round};
    if (reading != NULL && authorities_hold(files, reading, path)) {
        reading->round = files->round;
    } else if (authorities_fill(&fresh, path, level, error)) {
        if (reading != NULL) {
            authorities_end(&reading->authorities);
        } else {
            reading = xcalloc(1, sizeof *reading);
            map_set(files->authorities, text_span(&key), reading);
        }
        *reading = fresh;
    } else {
        authorities_end(&fresh.authorities);
        reading = NULL;
    }
    text_free(&key);
    return reading != NULL ? &reading->authorities : NULL;
}

/* ---- sweeping ---- */

/* Takes out and ends what does not stay. */
static void map_sift(struct map *map, const struct tls_files *files,
                     bool (*stays)(const struct tls_files *files, const void *value),
                     void (*end)(void *value))
{
    struct span *doomed = NULL, key;
    size_t at = 0, count = 0;
    void *value;
    while (map_next(map, &at, &key, &value)) {
        if (stays(files, value))
            continue;
        if ((count & (count - 1)) == 0)
            doomed = xrealloc(doomed, (count == 0 ? 1 : 2 * count) * sizeof *doomed);
        doomed[count++] = key;
    }
    for (size_t i = 0; i < count; i++)
        end(map_remove(map, doomed[i]));
    free(doomed);
}

/* Other threads give references back at any time, and none takes a first one: what is unused now is looked at
 * once for all that follows, or a reading would stay whose identity goes. */
static bool identity_is_marked(const struct tls_files *files, const void *value)
{
    struct identity *identity = (struct identity *)(uintptr_t)value;
    (void)files;
    identity->unused = atomic_load_explicit(&identity->references, memory_order_acquire) == 0;
    return true;
}

static bool reading_stays(const struct tls_files *files, const void *value)
{
    const struct reading *reading = value;
    (void)files;
    return !reading->identity->unused;
}

static bool identity_stays(const struct tls_files *files, const void *value)
{
    (void)files;
    return !((const struct identity *)value)->unused;
}

static void identity_end(void *value)
{
    struct identity *identity = value;
    identity->chain->users--;
    identity_free(identity);
}

static bool chain_stays(const struct tls_files *files, const void *value)
{
    (void)files;
    return ((const struct tls_chain *)value)->users != 0;
}

static void chain_end(void *value)
{
    tls_chain_free(value);
}

/* Contexts hold the store that they were given. */
static bool authorities_stay(const struct tls_files *files, const void *value)
{
    return ((const struct reading_authorities *)value)->round == files->round;
}

static void reading_authorities_end(void *value)
{
    struct reading_authorities *reading = value;
    authorities_end(&reading->authorities);
    free(reading);
}

void tls_files_sweep(struct tls_files *files)
{
    map_sift(files->identities, files, identity_is_marked, NULL);
    map_sift(files->readings, files, reading_stays, free);
    map_sift(files->identities, files, identity_stays, identity_end);
    map_sift(files->chains, files, chain_stays, chain_end);
    map_sift(files->authorities, files, authorities_stay, reading_authorities_end);
}

static bool nothing_stays(const struct tls_files *files, const void *value)
{
    (void)files;
    (void)value;
    return false;
}

void tls_files_free(struct tls_files *files)
{
    if (files == NULL)
        return;
    map_sift(files->readings, files, nothing_stays, free);
    map_sift(files->identities, files, nothing_stays, identity_end);
    map_sift(files->chains, files, nothing_stays, chain_end);
    map_sift(files->authorities, files, nothing_stays, reading_authorities_end);
    map_free(files->readings);
    map_free(files->identities);
    map_free(files->chains);
    map_free(files->authorities);
    pthread_mutex_destroy(&files->lock);
    free(files);
}
