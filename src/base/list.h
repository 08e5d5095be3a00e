/* An intrusive doubly linked ring: the head is a node too, and a zeroed node is not on any list. */
#ifndef WEIR_BASE_LIST_H
#define WEIR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"

struct list {
    struct list *next, *previous;
};

static inline void list_init(struct list *head)
{
    head->next = head->previous = head;
}
static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}
static inline bool list_is_linked(const struct list *node)
{
    return node->next != NULL;
}
static inline void list_insert_before(struct list *place, struct list *node)
{
    node->previous = place->previous;
    node->next = place;
    place->previous->next = node;
    place->previous = node;
}
static inline void list_push_front(struct list *head, struct list *node)
{
    list_insert_before(head->next, node);
}
static inline void list_push_back(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}
/* Harmless on a node that is on no list. */
static inline void list_remove(struct list *node)
{
    if (node->next == NULL)
        return;
    node->next->previous = node->previous;
    node->previous->next = node->next;
    node->next = node->previous = NULL;
}

#define LIST_EACH(node, head) for (struct list *node = (head)->next; node != (head); node = node->next)
/* The current node may be removed in the body. */
#define LIST_EACH_SAFE(node, after, head)                                       \
    for (struct list *node = (head)->next, *after = node->next; node != (head); \
         node = after, after = node->next)

#endif
