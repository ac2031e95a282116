#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/bytes.h"
#include "cache/inspect.h"

#define PAGE_MIN 512
#define PAGE_MAX 32768
#define PAGE_HEADER 16
#define META_BYTES (PAGE_HEADER + 136)
#define META_MAGIC UINT32_C(0xbeefc0de)
#define META_VERSION 1
#define DB_BYTES 48
#define NODE_HEADER 8
#define DEPTH_MAX 32
#define NO_PAGE UINT64_MAX

enum page_flags { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_META = 8 };
enum node_flags { NODE_BIG = 1, NODE_DB = 2 };
enum db_flags { DB_INTEGER_KEY = 8 };

/* What a tree holds: the database of free pages, the names of the others, or ours. */
enum tree { TREE_FREE, TREE_NAMES, TREE_OURS };

struct db {
	uint16_t flags, depth;
	uint64_t root;
};

struct meta {
	uint32_t page_bytes;
	struct db dbs[2]; /* free pages, names */
	uint64_t last_page, txn;
};

struct inspection {
	int fd;
	enum status st; /* sticky */
	const char *reason;
	uint32_t page_bytes;
	uint64_t pages;
	uint8_t *used; /* one bit a page */
};

struct node {
	uint64_t number; /* leaf: bytes of data; branch: page */
	uint16_t flags, key_bytes;
	const uint8_t *data; /* leaf: what stands in the page */
};

static bool
fail(struct inspection *in, enum status st, const char *reason)
{
	if (in->st == STATUS_OK) {
		in->st = st;
		in->reason = reason;
	}
	return false;
}

static bool
damage(struct inspection *in, const char *reason)
{
	return fail(in, STATUS_CORRUPT, reason);
}

static uint16_t
u16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static bool
read_at(struct inspection *in, uint64_t at, uint8_t *out, size_t len)
{
	while (len > 0) {
		ssize_t n = pread(in->fd, out, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(in, STATUS_STORE_FAILED, "its file cannot be read");
		if (n == 0)
			return damage(in, "its file is too short");
		out += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

/* --- which pages are used */

static bool
take_pages(struct inspection *in, uint64_t first, uint64_t count)
{
	/* pages 0 and 1 are the meta pages */
	if (first < 2 || first >= in->pages || count > in->pages - first)
		return damage(in, "a page beyond the end");
	for (uint64_t p = first; p < first + count; p++) {
		uint8_t bit = (uint8_t)(1 << p % 8);
		if (in->used[p / 8] & bit)
			return damage(in, "a page that is used twice");
		in->used[p / 8] |= bit;
	}
	return true;
}

/* --- meta pages */

static struct db
read_db(const uint8_t *at)
{
	return (struct db){
	    .flags = u16(at + 4),
	    .depth = u16(at + 6),
	    .root = bytes_u64(at + 40),
	};
}

static bool
read_meta(struct inspection *in, uint64_t at, struct meta *ret)
{
	uint8_t page[META_BYTES];
	if (!read_at(in, at, page, sizeof page))
		return false;
	const uint8_t *m = page + PAGE_HEADER;
	*ret = (struct meta){
	    .page_bytes = bytes_u32(m + 24),
	    .dbs = {read_db(m + 24), read_db(m + 24 + DB_BYTES)},
	    .last_page = bytes_u64(m + 120),
	    .txn = bytes_u64(m + 128),
	};
	uint32_t bytes = ret->page_bytes;
	return (u16(page + 10) & PAGE_META && bytes_u32(m) == META_MAGIC &&
		   bytes_u32(m + 4) == META_VERSION && bytes >= PAGE_MIN && bytes <= PAGE_MAX &&
		   (bytes & (bytes - 1)) == 0 && ret->last_page >= 1) ||
	       damage(in, "a meta page is damaged");
}

/* --- trees */

static bool walk(struct inspection *in, enum tree tree, uint64_t page, unsigned levels);

static bool
walk_db(struct inspection *in, enum tree tree, const struct db *db)
{
	uint16_t flags = tree == TREE_FREE ? DB_INTEGER_KEY : 0;
	if (db->flags != flags)
		return damage(in, "a database with flags");
	if (db->root == NO_PAGE)
		return true;
	if (db->depth == 0 || db->depth > DEPTH_MAX)
		return damage(in, "a tree of no depth");
	return walk(in, tree, db->root, db->depth);
}

/* The list of a transaction's free pages: a count, then so many page numbers. */
static bool
take_free_pages(struct inspection *in, const uint8_t *list, uint64_t len)
{
	if (len < 8 || len % 8 != 0 || bytes_u64(list) > len / 8 - 1)
		return damage(in, "a list of free pages is damaged");
	uint64_t count = bytes_u64(list);
	for (uint64_t i = 1; i <= count; i++)
		if (!take_pages(in, bytes_u64(list + 8 * i), 1))
			return false;
	return true;
}

static bool
take_free_pages_at(struct inspection *in, uint64_t page, uint64_t len)
{
	uint8_t *list = malloc((size_t)len + 1);
	if (list == NULL)
		return fail(in, STATUS_NO_MEMORY, "out of memory");
	bool good = read_at(in, page * in->page_bytes + PAGE_HEADER, list, (size_t)len) &&
		    take_free_pages(in, list, len);
	free(list);
	return good;
}

/* A value on pages of its own. */
static bool
check_big(struct inspection *in, enum tree tree, const struct node *n)
{
	uint64_t page = bytes_u64(n->data);
	uint64_t count = (PAGE_HEADER - 1 + n->number) / in->page_bytes + 1;
	return take_pages(in, page, count) &&
	       (tree != TREE_FREE || take_free_pages_at(in, page, n->number));
}

static bool
check_leaf_node(struct inspection *in, enum tree tree, const struct node *n)
{
	if (tree == TREE_NAMES) {
		if (n->flags != NODE_DB || n->number != DB_BYTES)
			return damage(in, "a name that is no database");
		struct db db = read_db(n->data);
		return walk_db(in, TREE_OURS, &db);
	}
	if (tree == TREE_FREE && n->key_bytes != sizeof(uint64_t))
		return damage(in, "a list of free pages is damaged");
	if (n->flags == NODE_BIG)
		return check_big(in, tree, n);
	if (n->flags != 0)
		return damage(in, "a node of an unknown kind");
	return tree != TREE_FREE || take_free_pages(in, n->data, n->number);
}

/* The i-th node, wholly inside the page. */
static bool
node_at(struct inspection *in, const uint8_t *page, size_t i, bool leaf, struct node *ret)
{
	size_t at = u16(page + PAGE_HEADER + 2 * i), upper = u16(page + 14);
	if (at < upper || at % 2 != 0 || at + NODE_HEADER > in->page_bytes)
		return damage(in, "a node outside its page");
	const uint8_t *n = page + at;
	uint16_t flags = u16(n + 4);
	uint64_t number = u16(n) | (uint64_t)u16(n + 2) << 16;
	uint16_t key_bytes = u16(n + 6);
	size_t end = at + NODE_HEADER + key_bytes;
	*ret = (struct node){
	    .number = number, .flags = flags, .key_bytes = key_bytes, .data = page + end};
	if (!leaf)
		ret->number |= (uint64_t)flags << 32;
	else
		end += flags & NODE_BIG ? 8 : number;
	return end <= in->page_bytes || damage(in, "a node outside its page");
}

static bool
walk_nodes(struct inspection *in, enum tree tree, const uint8_t *page, unsigned levels)
{
	bool leaf = levels == 1;
	uint16_t flags = u16(page + 10), lower = u16(page + 12), upper = u16(page + 14);
	if (flags != (leaf ? PAGE_LEAF : PAGE_BRANCH))
		return damage(in, "a page of another kind");
	if (lower <= PAGE_HEADER || lower % 2 != 0 || lower > upper || upper > in->page_bytes)
		return damage(in, "a page with impossible bounds");
	for (size_t i = 0; i < (lower - (size_t)PAGE_HEADER) / 2; i++) {
		struct node n;
		if (!node_at(in, page, i, leaf, &n))
			return false;
		if (!(leaf ? check_leaf_node(in, tree, &n) : walk(in, tree, n.number, levels - 1)))
			return false;
	}
	return true;
}

static bool
walk(struct inspection *in, enum tree tree, uint64_t number, unsigned levels)
{
	if (!take_pages(in, number, 1))
		return false;
	uint8_t *page = malloc(in->page_bytes);
	if (page == NULL)
		return fail(in, STATUS_NO_MEMORY, "out of memory");
	bool good = read_at(in, number * in->page_bytes, page, in->page_bytes);
	if (good && bytes_u64(page) != number)
		good = damage(in, "a page in another's place");
	good = good && walk_nodes(in, tree, page, levels);
	free(page);
	return good;
}

/* --- all of it */

static bool
inspect(struct inspection *in, uint64_t file_bytes)
{
	struct meta metas[2];
	if (!read_meta(in, 0, &metas[0]) || !read_meta(in, metas[0].page_bytes, &metas[1]))
		return false;
	if (metas[0].page_bytes != metas[1].page_bytes)
		return damage(in, "a meta page is damaged");
	const struct meta *m = &metas[metas[1].txn > metas[0].txn];
	in->page_bytes = m->page_bytes;
	in->pages = m->last_page + 1;
	if (in->pages > file_bytes / in->page_bytes)
		return damage(in, "its file is shorter than its pages");
	in->used = calloc(1, (size_t)in->pages / 8 + 1);
	if (in->used == NULL)
		return fail(in, STATUS_NO_MEMORY, "out of memory");
	return walk_db(in, TREE_NAMES, &m->dbs[1]) && walk_db(in, TREE_FREE, &m->dbs[0]);
}

enum status
inspect_file(int fd, const char **ret_reason)
{
	struct inspection in = {.fd = fd};
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		*ret_reason = "its file is none";
		return STATUS_STORE_FAILED;
	}
	if (st.st_size == 0)
		return STATUS_OK;
	if (!inspect(&in, (uint64_t)st.st_size))
		*ret_reason = in.reason;
	free(in.used);
	return in.st;
}
