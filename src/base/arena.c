/*
 * Arenas. The arena's struct lies in its first chunk. On pool blocks a piece over a quarter of a block gets a
 * chunk of its own from malloc, so that little of a block is left unused; on malloc chunks double in size.
 */
#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/block.h"
#include "base/error.h"
#include "base/memory.h"

#define ARENA_ALIGN 16u
#define ARENA_LARGE (BLOCK_ROOM / 4)
#define ARENA_FIRST_CHUNK 4096u /* of an arena on malloc */
#define ARENA_MOST_CHUNK (256u * 1024u)

struct arena_chunk { /* from malloc; its bytes follow */
    struct arena_chunk *next;
    size_t size; /* also keeps the bytes behind it aligned */
};

struct arena_held {
    struct arena_held *next;
    struct block *block;
};

struct arena {
    char *at, *end; /* the free rest of the newest chunk */
    size_t size, cap;
    size_t taken;               /* bytes of chunks and held blocks, on blocks */
    struct block *blocks;       /* own chunks, linked by next; NULL on malloc */
    struct arena_chunk *chunks; /* from malloc */
    struct arena_held *held;
    size_t next_chunk; /* on malloc: size of the next; 0: on blocks */
};

static size_t arena_padding(const char *at)
{
    return (size_t)(-(uintptr_t)at & (ARENA_ALIGN - 1));
}

static char *arena_chunk_bytes(struct arena_chunk *chunk)
{
    return (char *)(chunk + 1);
}

/* A chunk of its own for one large piece. */
static char *arena_get_large(struct arena *arena, size_t size)
{
    bool on_blocks = arena->next_chunk == 0;
    if (on_blocks && memory_is_full())
        return NULL;
    struct arena_chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk == NULL)
        return NULL;
    arena->taken += size;
    chunk->next = arena->chunks;
    chunk->size = size;
    arena->chunks = chunk;
    return arena_chunk_bytes(chunk);
}

static bool arena_grow_on_blocks(struct arena *arena)
{
    struct block *block = block_take();
    if (block == NULL)
        return false;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->taken += BLOCK_SIZE;
    arena->at = block->bytes;
    arena->end = block->bytes + BLOCK_ROOM;
    return true;
}

static void arena_grow_on_malloc(struct arena *arena)
{
    struct arena_chunk *chunk = xmalloc(arena->next_chunk);
    chunk->next = arena->chunks;
    chunk->size = arena->next_chunk - sizeof *chunk;
    arena->chunks = chunk;
    arena->at = arena_chunk_bytes(chunk);
    arena->end = arena->at + chunk->size;
    if (arena->next_chunk < ARENA_MOST_CHUNK)
        arena->next_chunk *= 2;
}

static char *arena_get_from_new_chunk(struct arena *arena, size_t size)
{
    bool on_blocks = arena->next_chunk == 0;
    if (size > (on_blocks ? ARENA_LARGE : arena->next_chunk / 4)) {
        char *piece = arena_get_large(arena, size);
        if (piece == NULL && !on_blocks)
            die("out of memory (%zu bytes wanted)", size);
        return piece;
    }
    if (!on_blocks)
        arena_grow_on_malloc(arena);
    else if (!arena_grow_on_blocks(arena))
        return NULL;
    char *piece = arena->at + arena_padding(arena->at);
    arena->at = piece + size;
    return piece;
}

static char *arena_get_padded(struct arena *arena, size_t size, size_t padding)
{
    if (size > arena->cap - arena->size)
        return NULL;
    size_t room = (size_t)(arena->end - arena->at);
    char *piece;
    if (padding <= room && size <= room - padding) {
        piece = arena->at + padding;
        arena->at = piece + size;
    } else {
        piece = arena_get_from_new_chunk(arena, size);
        if (piece == NULL)
            return NULL;
    }
    arena->size += size;
    return piece;
}

struct arena *arena_new(size_t cap)
{
    struct block *block = block_take();
    if (block == NULL)
        return NULL;
    size_t padding = arena_padding(block->bytes);
    struct arena *arena = (struct arena *)(void *)(block->bytes + padding);
    *arena = (struct arena){
        .at = (char *)(arena + 1),
        .end = block->bytes + BLOCK_ROOM,
        .cap = cap,
        .taken = BLOCK_SIZE,
        .blocks = block,
    };
    return arena;
}

struct arena *arena_new_malloc(void)
{
    struct arena_chunk *chunk = xmalloc(ARENA_FIRST_CHUNK);
    chunk->next = NULL;
    chunk->size = ARENA_FIRST_CHUNK - sizeof *chunk;
    struct arena *arena = (struct arena *)(void *)arena_chunk_bytes(chunk);
    *arena = (struct arena){
        .at = (char *)(arena + 1),
        .end = arena_chunk_bytes(chunk) + chunk->size,
        .cap = SIZE_MAX,
        .chunks = chunk,
        .next_chunk = 2 * ARENA_FIRST_CHUNK,
    };
    return arena;
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    /* The arena lies in one of these: everything it says is read before the first is freed. */
    struct block *block = arena->blocks;
    struct arena_chunk *chunk = arena->chunks;
    for (struct arena_held *held = arena->held; held != NULL; held = held->next)
        block_release(held->block);
    while (chunk != NULL) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    while (block != NULL) {
        struct block *next = block->next;
        block_release(block);
        block = next;
    }
}

void *arena_get(struct arena *arena, size_t size)
{
    return arena_get_padded(arena, size, arena_padding(arena->at));
}

void *arena_get_zeroed(struct arena *arena, size_t size)
{
    void *piece = arena_get(arena, size);
    return piece != NULL ? memset(piece, 0, size) : NULL;
}

char *arena_get_bytes(struct arena *arena, size_t size)
{
    return arena_get_padded(arena, size, 0);
}

struct span arena_copy(struct arena *arena, struct span bytes)
{
    if (bytes.length == SIZE_MAX)
        return SPAN_NONE;
    char *copy = arena_get_bytes(arena, bytes.length + 1);
    if (copy == NULL)
        return SPAN_NONE;
    if (bytes.length != 0)
        memcpy(copy, bytes.at, bytes.length);
    copy[bytes.length] = '\0';
    return span_make(copy, bytes.length);
}

char *arena_text(struct arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = arena_get_bytes(arena, size);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

struct span arena_print(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    struct span result = SPAN_NONE;
    char brief[256];
    int length = vsnprintf(brief, sizeof brief, format, arguments);
    if (length >= 0 && (size_t)length < sizeof brief) {
        result = arena_copy(arena, span_make(brief, (size_t)length));
    } else if (length >= 0) {
        char *text = arena_get_bytes(arena, (size_t)length + 1);
        if (text != NULL) {
            vsnprintf(text, (size_t)length + 1, format, again);
            result = span_make(text, (size_t)length);
        }
    }
    va_end(again);
    va_end(arguments);
    return result;
}

bool arena_hold(struct arena *arena, struct block *block)
{
    /* A head often comes in several reads of one block: it is held once. */
    if (arena->held != NULL && arena->held->block == block)
        return true;
    if (arena->cap - arena->size < BLOCK_SIZE)
        return false;
    struct arena_held *held = arena_get(arena, sizeof *held);
    if (held == NULL)
        return false;
    held->block = block_share(block);
    held->next = arena->held;
    arena->held = held;
    arena->size = arena->cap - arena->size < BLOCK_SIZE ? arena->cap : arena->size + BLOCK_SIZE;
    arena->taken += BLOCK_SIZE;
    return true;
}

size_t arena_taken(const struct arena *arena)
{
    return arena->taken;
}

size_t arena_size(const struct arena *arena)
{
    return arena->size;
}
