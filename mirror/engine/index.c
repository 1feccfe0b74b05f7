/* index.c - see index.h.
 *
 * Search order: (offset, sequence). Heap order: a parent's priority is not
 * below its children's. Each node's subtree_end_bytes is the greatest end of an
 * extent in its subtree, so a subtree that ends at or before the extent asked
 * for is left out, and so is all that begins at or after its end.
 */
#include "mirror/engine/index.h"

#include <assert.h>
#include <errno.h>

void mirror_index_init(struct mirror_index *index, uint64_t seed)
{
	*index = (struct mirror_index){ .random = seed };
}

/* splitmix64 (G. Steele et al., "Fast splittable pseudorandom number
 * generators", 2014): every seed will do, 0 included. */
static uint32_t draw(struct mirror_index *index)
{
	uint64_t z = index->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)(z >> 32);
}

static bool before(const struct mirror_record *a, const struct mirror_record *b)
{
	if (a->header.offset_bytes != b->header.offset_bytes)
		return a->header.offset_bytes < b->header.offset_bytes;
	return a->header.sequence < b->header.sequence;
}

static uint64_t end_of_both(const struct mirror_record *r)
{
	uint64_t end = mirror_record_end(r);

	if (r->left != NULL && r->left->subtree_end_bytes > end)
		end = r->left->subtree_end_bytes;
	if (r->right != NULL && r->right->subtree_end_bytes > end)
		end = r->right->subtree_end_bytes;
	return end;
}

/* The link that points to `r`: its parent's, or the root. */
static struct mirror_record **link_to(struct mirror_index *index, struct mirror_record *r)
{
	if (r->parent == NULL)
		return &index->root;
	return r->parent->left == r ? &r->parent->left : &r->parent->right;
}

/* Put `child` in the place of its parent, which becomes its child. */
static void rotate_up(struct mirror_index *index, struct mirror_record *child)
{
	struct mirror_record *parent = child->parent;
	struct mirror_record *middle;

	*link_to(index, parent) = child;
	child->parent = parent->parent;
	parent->parent = child;
	if (parent->left == child) {
		middle = child->right;
		child->right = parent;
		parent->left = middle;
	} else {
		middle = child->left;
		child->left = parent;
		parent->right = middle;
	}
	if (middle != NULL)
		middle->parent = parent;
	parent->subtree_end_bytes = end_of_both(parent);
	child->subtree_end_bytes = end_of_both(child);
}

void mirror_index_insert(struct mirror_index *index, struct mirror_record *r)
{
	struct mirror_record **link = &index->root;
	struct mirror_record *parent = NULL;

	assert(!r->indexed && r->header.length_bytes > 0);

	r->subtree_end_bytes = mirror_record_end(r);
	while (*link != NULL) {
		parent = *link;
		if (parent->subtree_end_bytes < r->subtree_end_bytes)
			parent->subtree_end_bytes = r->subtree_end_bytes;
		if (before(r, parent)) {
			link = &parent->left;
		} else {
			assert(before(parent, r));
			link = &parent->right;
		}
	}
	*link = r;
	r->parent = parent;
	r->left = r->right = NULL;
	r->priority = draw(index);
	r->indexed = true;
	index->count++;
	while (r->parent != NULL && r->parent->priority < r->priority)
		rotate_up(index, r);
}

void mirror_index_remove(struct mirror_index *index, struct mirror_record *r)
{
	struct mirror_record *parent;

	assert(r->indexed && index->count > 0);

	while (r->left != NULL || r->right != NULL) {
		if (r->right == NULL ||
		    (r->left != NULL && r->left->priority >= r->right->priority))
			rotate_up(index, r->left);
		else
			rotate_up(index, r->right);
	}
	parent = r->parent;
	*link_to(index, r) = NULL;
	for (; parent != NULL; parent = parent->parent)
		parent->subtree_end_bytes = end_of_both(parent);
	r->parent = NULL;
	r->subtree_end_bytes = 0;
	r->indexed = false;
	index->count--;
}

static bool overlaps(const struct mirror_record *r, uint64_t start, uint64_t end)
{
	return r->header.offset_bytes < end && start < mirror_record_end(r);
}

/* The first in the subtree `r` that overlaps [start, end). */
static struct mirror_record *first_below(struct mirror_record *r, uint64_t start,
					 uint64_t end)
{
	while (r != NULL && r->subtree_end_bytes > start) {
		/* If something on the left ends beyond `start`, either the first
		 * of it overlaps, or it begins at or after `end`, and so does all
		 * that follows. */
		if (r->left != NULL && r->left->subtree_end_bytes > start)
			r = r->left;
		else if (overlaps(r, start, end))
			return r;
		else if (r->header.offset_bytes >= end)
			return NULL;
		else
			r = r->right;
	}
	return NULL;
}

struct mirror_record *mirror_index_first_overlap(const struct mirror_index *index,
						 uint64_t offset_bytes,
						 uint64_t length_bytes)
{
	assert(offset_bytes <= UINT64_MAX - length_bytes);

	if (length_bytes == 0)
		return NULL;
	return first_below(index->root, offset_bytes, offset_bytes + length_bytes);
}

struct mirror_record *mirror_index_next_overlap(const struct mirror_record *r,
						uint64_t offset_bytes,
						uint64_t length_bytes)
{
	const uint64_t end = offset_bytes + length_bytes;
	struct mirror_record *found = first_below(r->right, offset_bytes, end);

	assert(r->indexed);

	while (found == NULL && r->parent != NULL) {
		struct mirror_record *up = r->parent;

		if (up->left == r) {
			if (up->header.offset_bytes >= end)
				return NULL;
			if (overlaps(up, offset_bytes, end))
				return up;
			found = first_below(up->right, offset_bytes, end);
		}
		r = up;
	}
	return found;
}

/* Heap sort by sequence: no allocation, no recursion, no bad case. */
static void sink(struct mirror_record **array, uint32_t i, uint32_t count)
{
	struct mirror_record *r = array[i];

	for (uint32_t child = 2 * i + 1; child < count; child = 2 * i + 1) {
		if (child + 1 < count &&
		    array[child]->header.sequence < array[child + 1]->header.sequence)
			child++;
		if (array[child]->header.sequence <= r->header.sequence)
			break;
		array[i] = array[child];
		i = child;
	}
	array[i] = r;
}

static void sort(struct mirror_record **array, uint32_t count)
{
	for (uint32_t i = count / 2; i > 0; i--)
		sink(array, i - 1, count);
	for (uint32_t last = count; last > 1; last--) {
		struct mirror_record *newest = array[0];

		array[0] = array[last - 1];
		array[last - 1] = newest;
		sink(array, 0, last - 1);
	}
}

int mirror_index_collect(const struct mirror_index *index, uint64_t offset_bytes,
			 uint64_t length_bytes, struct mirror_record **array,
			 uint32_t max)
{
	struct mirror_record *r = mirror_index_first_overlap(index, offset_bytes,
							     length_bytes);
	uint32_t count = 0;

	assert(max <= INT32_MAX);
	for (; r != NULL; r = mirror_index_next_overlap(r, offset_bytes, length_bytes)) {
		if (count == max)
			return -ENOBUFS;
		array[count++] = r;
	}
	sort(array, count);
	return (int)count;
}

uint64_t mirror_index_newest_overlap(const struct mirror_index *index,
				     uint64_t offset_bytes, uint64_t length_bytes)
{
	struct mirror_record *r = mirror_index_first_overlap(index, offset_bytes,
							     length_bytes);
	uint64_t newest = 0;

	for (; r != NULL; r = mirror_index_next_overlap(r, offset_bytes, length_bytes))
		if (r->header.sequence > newest)
			newest = r->header.sequence;
	return newest;
}

static void check_node(const struct mirror_record *r)
{
	assert(r->indexed && r->subtree_end_bytes == end_of_both(r));
	if (r->left != NULL)
		assert(r->left->parent == r && before(r->left, r) &&
		       r->left->priority <= r->priority);
	if (r->right != NULL)
		assert(r->right->parent == r && before(r, r->right) &&
		       r->right->priority <= r->priority);
}

/* In order by parent links, so that no depth is too deep. */
void mirror_index_check(const struct mirror_index *index)
{
	const struct mirror_record *r = index->root, *last = NULL;
	uint32_t count = 0;

	assert(r == NULL || r->parent == NULL);
	while (r != NULL && r->left != NULL)
		r = r->left;
	while (r != NULL) {
		check_node(r);
		assert(last == NULL || before(last, r));
		count++;
		last = r;
		if (r->right != NULL) {
			for (r = r->right; r->left != NULL; r = r->left)
				;
		} else {
			while (r->parent != NULL && r->parent->right == r)
				r = r->parent;
			r = r->parent;
		}
	}
	assert(count == index->count);
}
