/* Pages by mmap. They are never made huge: one key in a table would then hold 2 MiB. */
#include "base/pages.h"

#include <sys/mman.h>

void *pages_new(size_t size)
{
    /* not reserved: what may never be touched is not held against the machine's memory either */
    void *pages =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    (void)madvise(pages, size, MADV_NOHUGEPAGE); /* only tunes */
    return pages;
}

void pages_free(void *pages, size_t size)
{
    if (pages != NULL)
        (void)munmap(pages, size);
}
