/* clang-format off */
/* Every cap in the program: unit in the name, reason beside it. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#define KIB ((size_t)1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)

/* --- requests from consumers */
#define LIMIT_URI_BYTES (8 * KIB)                      /* the contract: beyond it POST /v1/postures/query */
#define LIMIT_BODY_BYTES (4 * MIB)                     /* the contract: 413 beyond it */
#define LIMIT_QUERY_IDS 400000                         /* the contract and upstream 5.0: IDs in one query, a range counts its width */
#define LIMIT_QUERY_ERRORS 64                          /* problems told at once; the rest is summed up */
#define LIMIT_PAGE_RECORDS 1000                        /* the contract */
#define LIMIT_PAGE_BYTES (8 * MIB)                     /* the contract: a page over it is cut early */
#define LIMIT_SUMMARY_GROUPS 250000                    /* groups of one summary: about as many as LIMIT_PAGE_BYTES has room for */
#define LIMIT_PIECE_BYTES (3 * LIMIT_RECORD_BYTES)     /* of a streamed answer: a record that is held back, and what one view gives beside it */
#define LIMIT_ARENA_BYTES (64 * MIB)                   /* all small things of one request; 400,000 IDs are 3.2 MB */
#define LIMIT_CANON_BYTES (9 * MIB)                    /* canonical text: 400,000 IDs of 19 digits and a comma, and the rest */
#define LIMIT_RESPONSE_HEAD_BYTES (16 * KIB)

/* --- answers from the upstream */
#define LIMIT_UPSTREAM_HEADER_BYTES (256 * KIB)
#define LIMIT_UPSTREAM_BODY_BYTES (64 * GIB)           /* one call, inflated: 5,000 hosts were seen to give 4 GB */
#define LIMIT_RECORD_BYTES (8 * MIB)                   /* one record; samples are 1-4 KB, evidence can be large */
#define LIMIT_POLICY_LIST_BYTES (32 * MIB)             /* the policy list as one text; 9,000 policies are some 3 MB */
#define LIMIT_RECORD_MEMBERS 256                       /* top-level members of a record; 5.0 has 43 */
#define LIMIT_JSON_DEPTH 64                            /* nesting inside the answer; samples reach 5 */
#define LIMIT_INFLATE_RATIO 200                        /* after the first MiB; deflate's own ceiling is 1030, posture text is 6-20 */
#define LIMIT_INFLATE_PADDING_BYTES (64 * KIB)         /* zero bytes behind the last gzip member */
#define LIMIT_TOKEN_BYTES (16 * KIB)                   /* a bare JWT is 0.5-2 KB */
#define LIMIT_UPSTREAM_REQUEST_BYTES (4 * MIB)         /* documented for 5.0 */
#define LIMIT_CALLS 100000                             /* calls of one fetch */

/* --- the store */
#define LIMIT_FRAGMENT_RECORDS 20                      /* measured: best trade of ratio against slack */
#define LIMIT_TWIN_CHAIN 5                             /* every so many fragments one has a twin that can begin a page: a page of 100 */
#define LIMIT_GZIP_LEAST_BYTES KIB                     /* answers below it are not worth it */
#define LIMIT_FRAGMENT_BYTES (256 * KIB)               /* a fragment of large records closes early */
#define LIMIT_ROW_BLOCK 4000                           /* rows in one block: whole fragments, and 94 pages of 4 KiB */
#define LIMIT_COMMIT_BYTES (4 * MIB)                   /* a staging commit at the latest */
#define LIMIT_COMMIT_MS 1000                           /* likewise */
#define LIMIT_COMMIT_FIRST_MS 50                       /* between the first ones of a call; then twice as long each time */

#endif
