/* clang-format off */
/* Members that are more than one column of a CSV: what is an object with a few members of one word each.
 *
 *     PART(member, inside)   the column "member.inside": that member of the object
 */
PART(technology, id)
PART(technology, name)
PART(criticality, label)
PART(criticality, value)
