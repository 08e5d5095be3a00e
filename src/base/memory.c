/*
 * malloc() and its siblings of the C library are called through functions of the same names here (glibc
 * manual, "Replacing malloc"), which count and do nothing else; so the libraries' memory is counted as ours.
 * Under a sanitizer, which replaces them itself, its hooks count.
 */
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/sanitizers.h"

#define SANITIZED (UNDER_ADDRESS_SANITIZER || UNDER_THREAD_SANITIZER)
#define STEP_MOST (64 << 10)
#define STEP_LEAST (4 << 10)
#define SIXTEENTHS 16u
/* What the program itself and its libraries have resident, and stacks, about; of little they get little. */
#define PROGRAM_MOST (8u << 20)
#define PROGRAM_PART 8u

static struct {
    _Alignas(CACHE_LINE) _Atomic int64_t peers; /* written once a step */
    _Atomic int64_t file;
    _Alignas(CACHE_LINE) _Atomic uint64_t limit; /* seldom written, as the others of this line */
    _Atomic int64_t step;
    _Atomic uint64_t weighed; /* ms: when memory_weigh() looked */
    _Atomic uint64_t waste;   /* what it found, but for WASTE_USUAL */
    _Atomic bool spent;       /* what was set apart has been taken */
} memory = {.step = STEP_MOST};
_Alignas(CACHE_LINE) _Atomic uint32_t memory_level_now;

/* Of this thread, not yet in the sums. */
static _Thread_local struct {
    int64_t some;
    int64_t step; /* 0, as long as it has done nothing */
    struct memory_server *server;
} own;

static uint64_t load_sum(const _Atomic int64_t *sum)
{
    int64_t value = atomic_load_explicit(sum, memory_order_relaxed);
    return value > 0 ? (uint64_t)value : 0;
}

uint64_t memory_held_for_peers(void)
{
    return load_sum(&memory.peers);
}

uint64_t memory_held_for_file(void)
{
    return load_sum(&memory.file);
}

/* A file that needs more than three quarters of the limit has been warned of; peers get the last. */
uint64_t memory_for_peers(void)
{
    uint64_t limit = atomic_load_explicit(&memory.limit, memory_order_relaxed);
    uint64_t program = limit / PROGRAM_PART < PROGRAM_MOST ? limit / PROGRAM_PART : PROGRAM_MOST;
    uint64_t file =
        program + memory_held_for_file() + atomic_load_explicit(&memory.waste, memory_order_relaxed);
    return file < limit / 4 * 3 ? limit - file : limit - limit / 4 * 3;
}

uint64_t memory_over_half(void)
{
    uint64_t limit = atomic_load_explicit(&memory.limit, memory_order_relaxed), file = memory_held_for_file();
    return limit != 0 && file > limit / 2 ? file - limit / 2 : 0;
}

uint64_t memory_left(void)
{
    uint64_t most = memory_for_peers(), held = memory_held_for_peers();
    return held < most ? most - held : 0;
}

static enum memory_level level_of(uint64_t held, uint64_t most)
{
    static const uint8_t begins[] = {0,
#define X(name, sixteenths) sixteenths,
                                     MEMORY_LEVELS(X)
#undef X
    };
    unsigned level = sizeof begins - 1;
    while (held < most / SIXTEENTHS * begins[level])
        level--;
    return (enum memory_level)level;
}

enum memory_level memory_level_without(uint64_t bytes)
{
    if (atomic_load_explicit(&memory.spent, memory_order_relaxed))
        return MEMORY_FULL;
    if (atomic_load_explicit(&memory.limit, memory_order_relaxed) == 0)
        return MEMORY_PLENTY;
    uint64_t held = memory_held_for_peers();
    return level_of(held > bytes ? held - bytes : 0, memory_for_peers());
}

static enum memory_level judge(void)
{
    enum memory_level level = memory_level_without(0);
    if (level != memory_level())
        atomic_store_explicit(&memory_level_now, level, memory_order_relaxed);
    return level;
}

/* ---- what is set apart ---- */

#define RESERVE (4u << 20)
#define RESERVE_LEAST \
    (256u << 10) /* where addresses are few (RLIMIT_DATA), the half, and again, down to this */

/* Its size stands at its beginning. */
static _Atomic(size_t *) reserve;

static size_t *pages_apart(void)
{
    for (size_t size = RESERVE; size >= RESERVE_LEAST; size /= 2) {
        void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED)
            continue;
        *(size_t *)pages = size;
        return pages;
    }
    return NULL;
}

void memory_set_apart(void)
{
    size_t *pages = pages_apart(), *none = NULL;
    if (pages == NULL)
        return;
    if (!atomic_compare_exchange_strong(&reserve, &none, pages))
        (void)munmap(pages, *pages);
    else
        atomic_store_explicit(&memory.spent, false, memory_order_relaxed);
}

/* ---- what is not counted ---- */

#define WEIGH_EACH_MS 50u
#define WASTE_USUAL (2u << 20) /* stacks, libraries' own data, blocks of which a part was touched */
#define WASTE_TRIM (2u << 20)  /* more than that: worth having the C library look for whole pages */

/* Private memory that the process has now; 0: nobody knows. */
static uint64_t weight(void)
{
    char text[128];
    unsigned long long size, resident, shared;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    if (sscanf(text, "%llu %llu %llu", &size, &resident, &shared) != 3 || resident < shared)
        return 0;
    return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t find_waste(void)
{
    uint64_t has = weight(), counted = memory_held_for_peers() + memory_held_for_file() + WASTE_USUAL;
    return has > counted && !SANITIZED ? has - counted : 0; /* a sanitizer's own is no waste */
}

void memory_weigh(uint64_t now)
{
    uint64_t last = atomic_load_explicit(&memory.weighed, memory_order_relaxed);
    if (now - last < WEIGH_EACH_MS ||
        !atomic_compare_exchange_strong_explicit(&memory.weighed, &last, now, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    if (atomic_load_explicit(&memory.spent, memory_order_relaxed)) {
        (void)malloc_trim(0);
        memory_set_apart();
    }
    uint64_t waste = find_waste();
    if (waste > WASTE_TRIM) {
        (void)malloc_trim(0);
        waste = find_waste();
    }
    atomic_store_explicit(&memory.waste, waste, memory_order_relaxed);
    (void)judge();
}

/* Cold: once a step. */
static __attribute__((noinline)) void fold(void)
{
    int64_t some = own.some;
    own.some = 0;
    atomic_fetch_add_explicit(own.server != NULL ? &memory.peers : &memory.file, some, memory_order_relaxed);
    enum memory_level level = judge();
    own.step = own.server != NULL ? atomic_load_explicit(&memory.step, memory_order_relaxed) : STEP_LEAST;
    if (own.server == NULL)
        return;
    int64_t held = atomic_load_explicit(&own.server->held, memory_order_relaxed);
    atomic_store_explicit(&own.server->held, held + some, memory_order_relaxed);
    if (some > 0 && level != MEMORY_PLENTY && own.server->grown != NULL)
        own.server->grown(own.server);
}

bool memory_is_full(void)
{
    if (memory_level() != MEMORY_FULL)
        return false;
    if (own.server != NULL && own.server->grown != NULL)
        own.server->grown(own.server);
    return true;
}

static void records_free(void);

void memory_count(ptrdiff_t bytes)
{
    own.some += bytes;
    if (own.some > own.step || own.some < -own.step)
        fold();
}

void memory_count_file(ptrdiff_t bytes)
{
    if (bytes == 0)
        return;
    atomic_fetch_add_explicit(&memory.file, bytes, memory_order_relaxed);
    (void)judge();
}

void memory_thread_serves(struct memory_server *server)
{
    records_free();
    fold();
    own.server = server;
}

void memory_limit(uint64_t bytes)
{
    uint64_t step = bytes / 1024;
    atomic_store_explicit(&memory.limit, bytes, memory_order_relaxed);
    atomic_store_explicit(&memory.step,
                          bytes == 0 || step > STEP_MOST ? STEP_MOST
                          : step < STEP_LEAST            ? STEP_LEAST
                                                         : (int64_t)step,
                          memory_order_relaxed);
    (void)judge();
}

/* ---- malloc ---- */

#if SANITIZED

/* Of sanitizer/allocator_interface.h, which not each compiler brings. */
int __sanitizer_install_malloc_and_free_hooks(void (*taken)(const volatile void *piece, size_t size),
                                              void (*given)(const volatile void *piece));
size_t __sanitizer_get_allocated_size(const volatile void *piece);

static void taken(const volatile void *piece, size_t size)
{
    (void)size;
    if (piece != NULL)
        memory_count((ptrdiff_t)__sanitizer_get_allocated_size(piece));
}

static void given(const volatile void *piece)
{
    if (piece != NULL)
        memory_count(-(ptrdiff_t)__sanitizer_get_allocated_size(piece));
}

static void records_free(void)
{
}

static __attribute__((constructor)) void count_by_hooks(void)
{
    (void)__sanitizer_install_malloc_and_free_hooks(taken, given);
}

#else

#define HEAD 8 /* of each piece, beside what it can hold */

/* Of glibc, under the names that stay when others take the usual ones. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *piece, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *piece);

static ptrdiff_t size_of(void *piece)
{
    return (ptrdiff_t)malloc_usable_size(piece) + HEAD;
}

static void *counted(void *piece)
{
    if (piece != NULL)
        memory_count(size_of(piece));
    return piece;
}

/* True: there is some to be had now that was not before. */
static bool spend_reserve(void)
{
    size_t *pages = atomic_exchange(&reserve, NULL);
    if (pages == NULL)
        return false;
    (void)munmap(pages, *pages);
    atomic_store_explicit(&memory.spent, true, memory_order_relaxed);
    (void)judge();
    if (own.server != NULL && own.server->grown != NULL)
        own.server->grown(own.server);
    return true;
}

/* So much is not what the reserve is for. */
static bool is_small(size_t size)
{
    return size <= RESERVE / 4;
}

/*
 * OpenSSL takes two pieces of this size for each request of a connection that is quiet between them, which
 * for the C library are large: a thread that serves keeps some. They stay counted.
 */
#define RECORD_LEAST 16385u
#define RECORD_MOST 16896u
#define RECORDS_KEPT 4u

static _Thread_local struct {
    void *pieces[RECORDS_KEPT];
    unsigned count;
} records;

static void *record_get(void)
{
    if (records.count != 0)
        return records.pieces[--records.count];
    void *piece = __libc_malloc(RECORD_MOST);
    if (piece == NULL && spend_reserve())
        piece = __libc_malloc(RECORD_MOST);
    return counted(piece);
}

static bool record_keep(void *piece, ptrdiff_t size)
{
    if (size - HEAD < (ptrdiff_t)RECORD_MOST || size - HEAD > (ptrdiff_t)RECORD_MOST + 64 ||
        records.count == RECORDS_KEPT || own.server == NULL)
        return false;
    records.pieces[records.count++] = piece;
    return true;
}

static void records_free(void)
{
    while (records.count != 0) {
        void *piece = records.pieces[--records.count];
        memory_count(-size_of(piece));
        __libc_free(piece);
    }
}

void *malloc(size_t size)
{
    if (size >= RECORD_LEAST && size <= RECORD_MOST)
        return record_get();
    void *piece = __libc_malloc(size);
    if (piece == NULL && is_small(size) && spend_reserve())
        piece = __libc_malloc(size);
    return counted(piece);
}

void *calloc(size_t count, size_t size)
{
    void *piece = __libc_calloc(count, size);
    if (piece == NULL && count <= RESERVE && size <= RESERVE && is_small(count * size) && spend_reserve())
        piece = __libc_calloc(count, size);
    return counted(piece);
}

void *realloc(void *piece, size_t size)
{
    ptrdiff_t before = piece != NULL ? size_of(piece) : 0;
    void *larger = __libc_realloc(piece, size);
    if (larger == NULL && size != 0 && is_small(size) && spend_reserve())
        larger = __libc_realloc(piece, size);
    if (larger != NULL)
        memory_count(size_of(larger) - before);
    else if (size == 0)
        memory_count(-before);
    return larger;
}

void free(void *piece)
{
    if (piece == NULL)
        return;
    ptrdiff_t size = size_of(piece);
    if (size > (ptrdiff_t)RECORD_MOST && record_keep(piece, size))
        return;
    memory_count(-size);
    __libc_free(piece);
}

void *memalign(size_t alignment, size_t size)
{
    void *piece = __libc_memalign(alignment, size);
    if (piece == NULL && is_small(size) && spend_reserve())
        piece = __libc_memalign(alignment, size);
    return counted(piece);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **piece, size_t alignment, size_t size)
{
    if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0)
        return EINVAL;
    void *made = memalign(alignment, size);
    if (made == NULL)
        return ENOMEM;
    *piece = made;
    return 0;
}

#endif
